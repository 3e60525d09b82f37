"""What the agent wrote down of every object and of its source, as a document and as a table."""

import re
import sys
import time

from agent.cli import terminal
from agent.converge import journal, report
from agent.model import conditions

_AGE_IN_DETAIL = re.compile(r"^running \w+")
"""How long it ran when that was written down, which is not now."""


def document(book: journal.Journal) -> dict[str, object]:
    """Give it for programs."""
    good = book.good()
    revisions = book.history.revisions(1)
    return {
        "revision": None if good is None else good.desired.revision,
        "source": None if good is None else good.source,
        "readAt": None if good is None else good.at,
        "appliedAt": revisions[0].applied_at if revisions else None,
        "problems": revisions[0].problems if revisions else (),
        "objects": [
            {
                "object": str(one.key),
                "detail": one.detail,
                "restarts": _restarts(book, one),
                "conditions": one.conditions,
            }
            for one in book.statuses()
        ],
    }


def show(book: journal.Journal) -> None:
    """Print it for people."""
    _print_source(book)
    terminal.table(("OBJECT", "READY", "STATUS", "RESTARTS", "AGE"), _rows(book, time.time()))


def _print_source(book: journal.Journal) -> None:
    good = book.good()
    if good is not None:
        age = terminal.age(time.time() - good.at)
        terminal.result(f"source {good.source}, revision {good.desired.revision}, read {age} ago")
    for problem in (revision.problems for revision in book.history.revisions(1)):
        for line in problem:
            terminal.result(terminal.style(terminal.printable(f"problem {line}"), "red", sys.stdout))


def _rows(book: journal.Journal, now: float) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in book.statuses():
        ready = report.condition(one, conditions.ConditionType.READY)
        detail = _AGE_IN_DETAIL.sub("running", one.detail) or ready.message
        restarts = _restarts(book, one)
        rows.append(
            (
                str(one.key),
                ready.status.value,
                detail,
                str(restarts) if restarts else "",
                terminal.age(now - ready.since),
            )
        )
    return rows


def _restarts(book: journal.Journal, status: conditions.ObjectStatus) -> int:
    return sum(one.count for one in book.entry(status.key).restarts)
