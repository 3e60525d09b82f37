"""``status --watch``: the table, then a line for each object that changes, and for troubles that come and go."""

import re
import time
from collections.abc import Callable, Hashable, Iterator

from agent import invocation
from agent.agent_api import status, status_json
from agent.cli import flags, status_view, terminal, watching

_LEAST = (30, 7, 34, 8, 4)
"""Columns' widths from the first line on: most of what may follow fits into them."""
_PROBLEM = "problem"
_NUMBER = re.compile(r"(?<![\w:])[0-9]+(?:\.[0-9]+)?(?![\w:])")
"""In a trouble: seconds, attempts or bytes, which grow while nothing else has changed."""

_Standing = dict[tuple[str, str], tuple[str, str]]
"""Lines that stand, each with its text alone, by what they are about and what they say."""


def watch(ask: Callable[[], status.Status], output: flags.TableOutput, invoked: invocation.Invocation) -> None:
    """Print what changes until somebody presses Ctrl-C."""
    view = _TextView(is_wide=output is flags.TableOutput.WIDE) if _is_text(output) else None
    before: dict[str, status.Object] = {}
    for answer in watching.answers(ask):
        after = {str(item.key): item for item in answer.objects}
        if view is None:
            _print_documents(before, after, output)
        else:
            for line in view.lines(answer, before, time.time()):
                terminal.result(invoked.completed(line))
        terminal.flush()
        before = after


def essence(item: status.Object) -> Hashable:
    """Return what an object's change is told by: not the times at which the same was seen again."""
    image = item.image
    latest = None if image is None or image.latest is None else (image.latest.digest, image.latest.problem)
    return (
        tuple((condition.type, condition.status, condition.reason, condition.message) for condition in item.conditions),
        (item.detail, item.until, item.restarts, item.suspended_at is None, item.created_at, item.container),
        (None if image is None else image.digests, latest),
    )


def _is_text(output: flags.TableOutput) -> bool:
    return output in {flags.TableOutput.TEXT, flags.TableOutput.WIDE}


def _changes(before: dict[str, status.Object], after: dict[str, status.Object]) -> tuple[list[str], list[str]]:
    return watching.changes(
        {name: essence(item) for name, item in before.items()}, {name: essence(item) for name, item in after.items()}
    )


def _print_documents(
    before: dict[str, status.Object], after: dict[str, status.Object], output: flags.TableOutput
) -> None:
    changed, removed = _changes(before, after)
    documents = [(name, status_json.object_document(after[name])) for name in changed]
    documents += [(name, {"object": name, "removed": True}) for name in removed]
    for name, document in documents:
        match output:
            case flags.TableOutput.NAME:
                terminal.result(name)
            case flags.TableOutput.YAML:
                terminal.result("---")
                terminal.result_document(document, output)
            case _:
                terminal.result_line(document)


class _TextView:
    """What has been printed, so that only what is new follows."""

    def __init__(self, *, is_wide: bool) -> None:
        self._is_wide = is_wide
        self._widths: list[int] = []
        self._source: tuple[object, ...] = ()
        self._standing: _Standing = {}

    def lines(self, answer: status.Status, before: dict[str, status.Object], now: float) -> Iterator[str]:
        """Yield the lines for an answer: all of it at first, and later what has changed."""
        source, standing = _source_of(answer), _standing(answer)
        if not self._widths:
            self._widths = watching.wider(_LEAST, self._rows(answer, answer.objects, now))
            yield from status_view.lines(answer, now, is_wide=self._is_wide, least=self._widths)
        else:
            if source != self._source:
                yield from status_view.source(answer.source, now)
            yield from (line for key, (line, _) in standing.items() if key not in self._standing)
            yield from self._over(standing)
            yield from self._changes(answer, before, now)
        self._source, self._standing = source, standing

    def _over(self, standing: _Standing) -> Iterator[str]:
        """Yield what was printed and is so no longer; of a message that has only become another one, nothing."""
        replaced = {subject for subject, _ in standing.keys() - self._standing.keys()} - {_PROBLEM}
        for key, (_, text) in self._standing.items():
            if key not in standing and key[0] not in replaced:
                yield terminal.printable(f"over: {text}")

    def _changes(self, answer: status.Status, before: dict[str, status.Object], now: float) -> Iterator[str]:
        after = {str(item.key): item for item in answer.objects}
        changed, removed = _changes(before, after)
        items = [after[name] for name in changed]
        rows = self._rows(answer, items, now)[1:]
        self._widths = watching.wider(self._widths, rows)
        for item, cells in zip(items, rows, strict=True):
            yield terminal.aligned(cells, self._widths)
            yield from status_view.reasons(item, 0)
        for name in removed:
            yield f"{terminal.printable(name)}  removed"

    def _rows(
        self, answer: status.Status, items: list[status.Object] | tuple[status.Object, ...], now: float
    ) -> list[tuple[str, ...]]:
        rows = (status_view.row(item, answer, now, is_wide=self._is_wide) for item in items)
        return [status_view.headings(is_wide=self._is_wide), *rows]


def _source_of(answer: status.Status) -> tuple[object, ...]:
    """Return what a change of the source is told by: not the times at which it was looked at."""
    source = answer.source
    return source.location, source.revision, source.read_at, source.suspended_at is None, source.declares_nothing


def _standing(answer: status.Status) -> _Standing:
    """Return the lines that are not an object's. Numbers in them may change, but for the place of a problem."""
    lines = [(trouble.reason.value, status_view.trouble_line(trouble), trouble.message) for trouble in answer.troubles]
    lines += [
        (f"note {notice.subject}", status_view.notice_line(notice), f"{notice.subject}: {notice.message}")
        for notice in status_view.notes(answer)
    ]
    standing = {(subject, _NUMBER.sub("0", text)): (line, text) for subject, line, text in lines}
    problems = {(_PROBLEM, text): (status_view.problem_line(text), text) for text in answer.source.problems}
    return standing | problems
