"""The text of ``history`` and ``events``: tables in the order of time, with problems and errors below their rows."""

import datetime as dt
from collections.abc import Iterator, Sequence

from agent.agent_api import past
from agent.cli import terminal
from agent.kit import counts

EVENT_HEADINGS = ("TIME", "OBJECT", "ACTION", "REASON", "RESULT")
_INDENT = "    "
_INPUTS = "the same files; env files, archives, contexts or settings changed"


def history_lines(revisions: Sequence[past.Revision]) -> Iterator[str]:
    """Yield the lines of a history."""
    if not revisions:
        yield "nothing was read yet"
        return
    rows = [(moment(revision.read_at), _result(revision), _name(revision)) for revision in revisions]
    yield from table(("READ", "RESULT", "REVISION"), rows, [revision.problems for revision in revisions])


def event_lines(events: Sequence[past.Event], name: str = "") -> Iterator[str]:
    """Yield the lines of events; ``name``: what was asked for, if anything."""
    if not events:
        yield terminal.printable(f"nothing is recorded of {name}" if name else "nothing was done yet")
        return
    yield from table(EVENT_HEADINGS, list(map(event_row, events)), [(event.error,) for event in events])


def event_row(event: past.Event) -> tuple[str, ...]:
    """Return an event's row."""
    result = f"{event.result} in {duration(event.duration)}" if event.duration else event.result
    return (moment(event.at), event.object, event.action, event.reason, result)


def moment(at: float) -> str:
    """Return a time as UTC: ``2026-11-29 22:19:28Z``."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%SZ}"


def duration(seconds: float) -> str:
    """Return a duration, with a decimal below ten seconds: ``0.3s``, ``45s``, ``3m``."""
    return f"{max(seconds, 0.0):.1f}s" if seconds < 10.0 else terminal.age(seconds)  # noqa: PLR2004 - see above


def _name(revision: past.Revision) -> str:
    return f"{revision.revision} ({_INPUTS})" if revision.inputs_changed else revision.revision


def _result(revision: past.Revision) -> str:
    if revision.problems:
        return counts.counted(len(revision.problems), "problem")
    if (
        revision.applied_at is None or revision.applied_at < revision.read_at
    ):  # it was applied before, and has come back
        return revision.result
    return f"{revision.result} after {duration(revision.applied_at - revision.read_at)}"


def table(
    headings: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    below: Sequence[Sequence[str]],
    widths: Sequence[int] | None = None,
) -> Iterator[str]:
    """Yield an aligned table, with indented lines below each row; ``widths``: the columns', if not as they need."""
    lines = [headings, *(tuple(terminal.printable(cell) for cell in row) for row in rows)]
    widths = terminal.column_widths(lines) if widths is None else widths
    for line, details in zip(lines, [(), *below], strict=True):
        yield terminal.aligned(line, widths)
        yield from (_INDENT + terminal.printable(detail) for text in details for detail in text.splitlines())
