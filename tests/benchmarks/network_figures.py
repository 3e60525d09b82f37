"""The network's part of starting and ending a thousand containers, without the containers.

The work of one more must not grow with those that there are: what is left of growth is the kernel's own, in bridges
with hundreds of ports.
"""

import asyncio
import pathlib
import time
from collections.abc import Awaitable, Callable, Sequence

from agent.engine import layout, records
from agent.engine.kernel import linux
from agent.engine.network import networks
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from tests import addressing
from tests.benchmarks import figures

COUNT = 1_000
PART = 200
_NETWORKS = 3
_AT_ONCE = 8


def measure(folder: pathlib.Path, _: int) -> list[figures.Figure]:
    """Attach and announce each of them with a published port, look at all, and detach each."""
    return asyncio.run(_measure(folder))


async def _measure(folder: pathlib.Path) -> list[figures.Figure]:
    where = layout.of(folder / "root", folder / "run")
    where.prepare()
    database = records.Database(where.records, [networks.SCHEMA])
    try:
        async with networks.Networks(where, database, linux.LinuxKernel()) as network:
            return await _figures(network)
    finally:
        database.close()


async def _figures(network: networks.Networks) -> list[figures.Figure]:
    await network.restore({})
    for number in range(_NETWORKS):
        await network.create(network_spec.NetworkSpec(f"n{number}", (addressing.subnet(f"10.{200 + number}.0.0/16"),)))
    try:
        begun = [await _timed(range(first, first + PART), lambda n: _begin(network, n)) for first in _parts()]
        network.request_thorough_check()
        looks = []
        for _ in range(2):
            before = time.perf_counter()
            problems = await network.problems()
            looks.append(time.perf_counter() - before)
            assert not problems, problems
    finally:
        ended = [await _timed(range(first, first + PART), lambda n: network.detach(_id(n))) for first in _parts()]
        for number in range(_NETWORKS):
            await network.remove(f"n{number}")
    return [
        figures.Figure(f"network of {COUNT} containers, begun", "s", (sum(begun),)),
        figures.Figure(f"the last {PART} of them by the first", "times", (begun[-1] / begun[0],), reach="< 1.5"),
        figures.Figure(f"network of {COUNT} containers, ended", "s", (sum(ended),)),
        figures.Figure(f"a thorough look at {COUNT} endpoints", "s", (looks[0],)),
        figures.Figure(f"a look at {COUNT} endpoints that nothing has happened to", "s", (looks[1],), reach="< 0.02 s"),
    ]


def _parts() -> Sequence[int]:
    return range(0, COUNT, PART)


async def _timed(numbers: Sequence[int], work: Callable[[int], Awaitable[None]]) -> float:
    """Do it for each number, some at a time, and return the seconds that it took."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def in_place(number: int) -> None:
        async with places:
            await work(number)

    before = time.perf_counter()
    await asyncio.gather(*map(in_place, numbers))
    return time.perf_counter() - before


async def _begin(network: networks.Networks, number: int) -> None:
    attachment = container_spec.Attachment(f"n{number % _NETWORKS}", ("www",), None)
    port = addressing.port("0.0.0.0", 20_000 + number, 80, "tcp")
    await network.attach(network_spec.AttachRequest(_id(number), f"web-{number}", (attachment,), (port,)))
    await network.announce(_id(number))


def _id(number: int) -> str:
    return f"{number:032x}"
