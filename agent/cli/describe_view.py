"""The text of ``describe``: one object's state, its conditions, its declaration and its last events."""

from collections.abc import Iterator

from agent.agent_api import descriptions, status
from agent.cli import past_view, terminal

_INDENT = "  "


def lines(description: descriptions.Description, now: float) -> Iterator[str]:
    """Yield the lines of a description."""
    fields = list(_state(description.item, now))
    fields += [("Image digest", digest) for digest in description.digests]
    yield from _aligned(fields)
    yield "Conditions:"
    yield from _indented(past_view.table(*_conditions(description.item, now)))
    if description.declared is None:
        yield "Declared: no, as far as is known"
    else:
        yield "Declared:"
        pairs = [(name, value) for name, values in description.declared for value in values]
        yield from _indented(_aligned(pairs))
    yield "Events:"
    yield from _indented(past_view.event_lines(description.events, str(description.item.key)))


def _state(item: status.Object, now: float) -> Iterator[tuple[str, str]]:
    yield "Name", item.key.name
    yield "Kind", item.key.kind.value
    yield "Status", item.detail
    if item.suspended_at is not None:
        yield "Suspended", f"for {terminal.age(now - item.suspended_at)}"
    if item.until is not None:
        yield "Next try", f"in {terminal.age(item.until - now)}" if item.until > now else "now"
    yield "Restarts", str(item.restarts)
    latest = None if item.image is None else item.image.latest
    if latest is not None:
        yield "Latest image", latest.problem or f"{latest.reference} {latest.digest}".strip()


def _conditions(
    item: status.Object, now: float
) -> tuple[tuple[str, ...], list[tuple[str, ...]], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (condition.type.value, condition.status.value, terminal.age(now - condition.since), condition.reason)
        for condition in item.conditions
    ]
    messages: list[tuple[str, ...]] = []
    for condition in item.conditions:  # most have the same one: it is printed once
        messages.append((condition.message,) if (condition.message,) not in messages else ())
    return ("TYPE", "STATUS", "AGE", "REASON"), rows, messages


def _aligned(fields: list[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each field; a name that repeats is printed once."""
    width = max((len(name) for name, _ in fields), default=0) + 1
    before = ""
    for name, value in fields:
        head = "" if name == before else f"{name}:"
        yield f"{head:{width}}  {terminal.printable(value)}".rstrip()
        before = name


def _indented(texts: Iterator[str]) -> Iterator[str]:
    return (_INDENT + text for text in texts)
