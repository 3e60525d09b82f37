"""Directed graphs: an order that respects every edge, or the cycle that forbids one."""

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def order(edges: Mapping[Node, Iterable[Node]], *, key: Callable[[Node], object]) -> list[Node]:
    """Sort nodes so that each stands behind all that it depends on; ties are broken by ``key``, so the order is one.

    ``edges`` maps every node to what it depends on; a dependency that is no node itself is left out. Raises
    ``ValueError`` where there is a cycle (``cycle`` names it).
    """
    dependencies = {node: {other for other in others if other in edges} for node, others in edges.items()}
    dependants: dict[Node, list[Node]] = {node: [] for node in dependencies}
    for node, others in dependencies.items():
        for other in others:
            dependants[other].append(node)
    heap = [(key(node), index, node) for index, node in enumerate(dependencies) if not dependencies[node]]
    heapq.heapify(heap)
    waiting = {node: len(others) for node, others in dependencies.items()}
    numbers = {node: index for index, node in enumerate(dependencies)}
    result: list[Node] = []
    while heap:
        _, _, node = heapq.heappop(heap)
        result.append(node)
        for other in dependants[node]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(heap, (key(other), numbers[other], other))
    if len(result) != len(dependencies):
        raise ValueError("the graph has a cycle")
    return result


def cycle(edges: Mapping[Node, Iterable[Node]]) -> list[Node] | None:
    """Find a cycle, as the nodes along it with the first one repeated at the end; ``None`` where there is none."""
    done: set[Node] = set()
    for root in edges:
        if root in done:
            continue
        path: list[Node] = [root]
        on_path = {root}
        stack = [iter(edges[root])]
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                last = path.pop()
                on_path.discard(last)
                done.add(last)
            elif following in on_path:
                return [*path[path.index(following) :], following]
            elif following in edges and following not in done:
                path.append(following)
                on_path.add(following)
                stack.append(iter(edges[following]))
    return None
