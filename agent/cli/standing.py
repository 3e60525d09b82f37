"""What the agent wrote down of every object and of its source, as a document and as a table."""

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator

from agent.cli import terminal
from agent.converge import journal, report, verdicts
from agent.model import conditions
from agent.model.key import Kind
from agent.oci import reference

_HEADINGS = ("OBJECT", "READY", "STATUS", "RESTARTS", "AGE")
_INDENT = "    "
_SHORT_DIGEST = 12


def document(book: journal.Journal, agent: int | None) -> dict[str, object]:
    """Give it for programs. ``agent``: the process that is at work on this instance, if any."""
    good = book.good()
    revisions = book.history.revisions(1)
    return {
        "revision": None if good is None else good.desired.revision,
        "source": None if good is None else good.source,
        "readAt": None if good is None else good.at,
        "appliedAt": revisions[0].applied_at if revisions else None,
        "agent": agent,
        "problems": revisions[0].problems if revisions else (),
        "objects": [
            {
                "object": str(one.key),
                "detail": one.detail,
                "until": one.until,
                "restarts": _restarts(book, one),
                "conditions": one.conditions,
                **({"image": _image(book, one)} if one.key.kind is Kind.IMAGE else {}),
            }
            for one in book.statuses()
        ],
    }


def show(book: journal.Journal, agent: int | None) -> None:
    """Print it for people."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines(book, agent, time.time(), width):
        terminal.result(line)


def lines(book: journal.Journal, agent: int | None, now: float, width: int = 0) -> Iterator[str]:
    """Give the lines: every object, and below each that is not ready, why. ``width``: columns to wrap at; 0: none."""
    yield from _source(book, now)
    statuses = book.statuses()
    if not statuses:
        good = book.good()
        declared = good is not None and any(True for _ in good.desired)
        yield "nothing has been looked at yet" if declared else "nothing is declared"
        return
    rows = [_HEADINGS, *(_row(book, one, agent, now) for one in statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        line = "  ".join((*cells, row[-1])).rstrip()
        yield terminal.style(line, "bold", sys.stdout) if number == 0 else line
        if number:
            yield from _why(statuses[number - 1], width)
    if agent is None and any(one.until is not None for one in statuses):
        yield "no agent is at work here: what is not ready is tried again by the next run or apply"


def _source(book: journal.Journal, now: float) -> Iterator[str]:
    good = book.good()
    if good is not None:
        declares = "" if any(True for _ in good.desired) else ", nothing of it is declared any more"
        age = terminal.age(now - good.at)
        yield terminal.printable(f"source {good.source}, revision {good.desired.revision}, read {age} ago{declares}")
    for problem in (revision.problems for revision in book.history.revisions(1)):
        for line in problem:
            yield terminal.style(terminal.printable(f"problem {line}"), "red", sys.stdout)


def _row(book: journal.Journal, one: conditions.ObjectStatus, agent: int | None, now: float) -> tuple[str, ...]:
    ready = report.condition(one, conditions.ConditionType.READY)
    stalled = report.condition(one, conditions.ConditionType.STALLED).status is conditions.ConditionStatus.TRUE
    told = (
        *(one.detail or ready.reason, "stalled" if stalled else ""),
        *(_next(one, ready.reason, agent, now), _newest(book, one)),
    )
    restarts = _restarts(book, one)
    cells = (
        *(str(one.key), ready.status.value, ", ".join(filter(None, told))),
        *(str(restarts) if restarts else "", terminal.age(now - ready.since)),
    )
    return tuple(terminal.printable(cell) for cell in cells)


def _next(one: conditions.ObjectStatus, reason: str, agent: int | None, now: float) -> str:
    """Say when it is tried again, as it is now; nothing where nobody is there to do it."""
    if one.until is None or agent is None:
        return ""
    what = "next start" if reason == verdicts.BACK_OFF else "next try"
    return f"{what} in {terminal.age(one.until - now)}" if one.until > now else f"{what} now"


def _image(book: journal.Journal, one: conditions.ObjectStatus) -> dict[str, object]:
    """Give what an Image is in its registry, and what is newest there where it is followed."""
    entry = book.entry(one.key)
    newest = entry.newest
    return {
        "digests": entry.digests,
        "newest": None
        if newest is None
        else {
            "reference": newest.reference or None,
            "digest": newest.digest or None,
            "checkedAt": newest.checked_at,
            "problem": newest.problem or None,
        },
    }


def _newest(book: journal.Journal, one: conditions.ObjectStatus) -> str:
    """Say whether an Image that is followed is the newest, and what is."""
    entry = book.entry(one.key)
    if entry.newest is None or not entry.newest.digest:
        return ""
    tag = reference.parse(entry.newest.reference).tag or ""
    if entry.newest.digest in entry.digests:
        return f"newest ({tag} {_short(entry.newest.digest)})"
    before = _short(entry.digests[0]) if entry.digests else "none"
    return f"{before}, newest is {tag} {_short(entry.newest.digest)}"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:_SHORT_DIGEST]


def _why(one: conditions.ObjectStatus, width: int) -> Iterator[str]:
    """Say why an object is not ready, indented below its row."""
    ready = report.condition(one, conditions.ConditionType.READY)
    if ready.status is conditions.ConditionStatus.TRUE:
        return
    for line in map(terminal.printable, f"{ready.reason}: {ready.message}".splitlines()):
        if width:
            yield from textwrap.wrap(
                line, max(width, 20), initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
            )
        else:
            yield _INDENT + line


def _restarts(book: journal.Journal, status: conditions.ObjectStatus) -> int:
    return sum(one.count for one in book.entry(status.key).restarts)
