"""The text of ``status``: the agent, its source and what is not well, then a table of the objects."""

import itertools
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence

from agent import invocation
from agent.agent_api import status
from agent.cli import terminal
from agent.kit import notices
from agent.model import conditions
from agent.reasons import Reason

_HEADINGS = ("OBJECT", "READY", "STATUS", "RESTARTS", "AGE")
_WIDE_HEADINGS = ("INSTANCES", "IMAGE", "PORTS", "ADDRESS")
_NONE = "-"
_INDENT = "    "
_SHORT_DIGEST = 12
_ANSWERING = (status.AgentState.RUNNING, status.AgentState.STUCK)


def show(answer: status.Status, invoked: invocation.Invocation, *, is_wide: bool = False) -> None:
    """Print a status; commands quoted in it are completed."""
    width = terminal.columns() if sys.stdout.isatty() else 0
    for line in lines(answer, time.time(), width, is_wide=is_wide):
        terminal.result(invoked.completed(line))


def lines(
    answer: status.Status, now: float, width: int = 0, *, is_wide: bool = False, least: Sequence[int] = ()
) -> Iterator[str]:
    """Yield the lines, with the reason below each object that is not ready.

    ``width``: columns to wrap reasons at; 0: none. ``is_wide``: with what runs of each container, and where it is.
    ``least``: how wide the table's columns are at least.
    """
    yield from _agent(answer, now)
    yield from source(answer.source, now)
    yield from troubles(answer)
    if not answer.objects:
        yield "nothing has been looked at yet" if answer.observed_at is None else "nothing is declared"
        return
    if answer.observed_at is None:
        yield "what is below was written down by an earlier agent: nobody has looked since"
    rows = [headings(is_wide=is_wide), *(row(item, answer, now, is_wide=is_wide) for item in answer.objects)]
    widths = [max(pair) for pair in itertools.zip_longest(terminal.column_widths(rows), least, fillvalue=0)]
    for number, cells in enumerate(rows):
        line = terminal.aligned(cells, widths)
        yield terminal.style(line, "bold", sys.stdout) if number == 0 else line
        if number:
            yield from reasons(answer.objects[number - 1], width)


def headings(*, is_wide: bool) -> tuple[str, ...]:
    """Return the headings of the table."""
    return (*_HEADINGS, *(_WIDE_HEADINGS if is_wide else ()))


def _agent(answer: status.Status, now: float) -> Iterator[str]:
    """Yield the line of a running agent; without one, a trouble says what is wrong."""
    agent = answer.agent
    if agent.state in _ANSWERING and agent.since is not None:
        since = terminal.age(now - agent.since)
        yield f"agent running for {since} (process {agent.pid}, trimtab {agent.version}, runtime {agent.runtime})"


def source(described: status.SourceStatus, now: float) -> Iterator[str]:
    """Yield the line of the source, once there is one."""
    if described.location is None:
        return
    declares = ", nothing of it is declared any more" if described.declares_nothing else ""
    read = _ago(" of {} ago", described.read_at, now)
    revision = f", revision {described.revision}{read}" if described.revision else ""
    suspended = _ago(", suspended for {}", described.suspended_at, now)
    text = f"source {described.location}{revision}{_last_read(described, now)}{declares}{suspended}"
    yield terminal.printable(text)


def _last_read(source: status.SourceStatus, now: float) -> str:
    """Return when the source was last read, and with which result."""
    ago = _ago("{} ago", source.looked_at, now)
    match source.result:
        case status.LookResult.NEVER:
            return ", not looked at yet"
        case status.LookResult.FAILED:
            return f", last look {ago} failed{_ago(', last read {} ago', source.succeeded_at, now)}"
        case status.LookResult.REJECTED:
            return f", last look {ago}: problems"
        case status.LookResult.GOOD:
            return f", last look {ago}"
        case status.LookResult.UNKNOWN:
            return ""


def _ago(words: str, moment: float | None, now: float) -> str:
    return "" if moment is None else words.format(terminal.age(now - moment))


def troubles(answer: status.Status) -> Iterator[str]:
    """Yield a line for each trouble of the agent, its source and its host, for notes and for problems."""
    yield from map(trouble_line, answer.troubles)
    yield from map(notice_line, notes(answer))
    yield from map(problem_line, answer.source.problems)


def notes(answer: status.Status) -> tuple[notices.Notice, ...]:
    """Return the notices that are no troubles as well."""
    return tuple(notice for notice in answer.notices if notice.reason is not notices.NoticeReason.CLEAN_UP_FAILED)


def trouble_line(trouble: status.Trouble) -> str:
    """Return the line of a trouble."""
    return terminal.style(terminal.printable(f"not well: {trouble.message}"), "red", sys.stdout)


def notice_line(notice: notices.Notice) -> str:
    """Return the line of a notice."""
    return terminal.printable(f"note: {notice.subject}: {notice.message}")


def problem_line(problem: str) -> str:
    """Return the line of a problem in the manifests."""
    return terminal.style(terminal.printable(f"problem {problem}"), "red", sys.stdout)


def row(item: status.Object, answer: status.Status, now: float, *, is_wide: bool) -> tuple[str, ...]:
    """Return an object's row."""
    ready = item.condition(conditions.ConditionType.READY)
    stalled = item.condition(conditions.ConditionType.STALLED).status is conditions.ConditionStatus.TRUE
    words = (
        *(item.detail or ready.reason, "stalled" if stalled else ""),
        *(_next_attempt(item, ready.reason, now) if answer.agent.state in _ANSWERING else "", _latest(item)),
    )
    cells = (
        *(str(item.key), ready.status.value, ", ".join(filter(None, words))),
        *(str(item.restarts) if item.restarts else "", terminal.age(now - (item.created_at or ready.since))),
        *(_wide_cells(item.container) if is_wide else ()),
    )
    return tuple(terminal.printable(cell) for cell in cells)


def _wide_cells(container: status.ContainerStatus | None) -> tuple[str, ...]:
    """Return the cells of a container; of other objects, and of what was not looked at, they say nothing."""
    if container is None:
        return (_NONE,) * len(_WIDE_HEADINGS)
    return (
        f"{container.ready}/{container.desired}",
        container.image,
        ",".join(container.ports) or _NONE,
        ",".join(f"{network}={address}" for network, address in container.addresses) or _NONE,
    )


def _next_attempt(item: status.Object, reason: str, now: float) -> str:
    """Return when an object is retried, as of now."""
    if item.until is None:
        return ""
    what = "next start" if reason == Reason.BACK_OFF else "next try"
    return f"{what} in {terminal.age(item.until - now)}" if item.until > now else f"{what} now"


def _latest(item: status.Object) -> str:
    """Return whether an image with an update policy is the latest, and which one is."""
    from agent.oci import reference

    if item.image is None or item.image.latest is None or not item.image.latest.digest:
        return ""
    latest, digests = item.image.latest, item.image.digests
    tag = reference.parse(latest.reference).tag or ""
    if latest.digest in digests:
        return f"newest ({tag} {_short(latest.digest)})"
    before = _short(digests[0]) if digests else "none"
    return f"{before}, newest is {tag} {_short(latest.digest)}"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:_SHORT_DIGEST]


def reasons(item: status.Object, width: int) -> Iterator[str]:
    """Yield the reason why an object is not ready, indented below its row."""
    ready = item.condition(conditions.ConditionType.READY)
    if ready.status is conditions.ConditionStatus.TRUE:
        return
    for line in map(terminal.printable, f"{ready.reason}: {ready.message}".splitlines()):
        if width:
            yield from textwrap.wrap(
                line, max(width, 20), initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
            )
        else:
            yield _INDENT + line
