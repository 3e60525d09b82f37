"""``status --watch``: the table, then a line for each object that changes, and for troubles that come and go."""

import sys
import time
from collections.abc import Callable, Hashable, Iterator

from agent import invocation
from agent.agent_api import status, status_json
from agent.cli import flags, status_view, terminal, watching


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
        self._troubles: dict[str, str] = {}

    def lines(self, answer: status.Status, before: dict[str, status.Object], now: float) -> Iterator[str]:
        """Yield the lines for an answer: all of it at first, and later what has changed."""
        troubles = {trouble.reason.value: trouble.message for trouble in answer.troubles}
        if not self._widths:
            yield from status_view.lines(answer, now, is_wide=self._is_wide)
            self._widths = terminal.column_widths(self._rows(answer, answer.objects, now))
        else:
            yield from self._changes(answer, before, now)
            for reason in troubles.keys() - self._troubles.keys():
                yield terminal.style(terminal.printable(f"not well: {troubles[reason]}"), "red", sys.stdout)
            for reason in self._troubles.keys() - troubles.keys():
                yield terminal.printable(f"over: {self._troubles[reason]}")
        self._troubles = troubles

    def _changes(self, answer: status.Status, before: dict[str, status.Object], now: float) -> Iterator[str]:
        after = {str(item.key): item for item in answer.objects}
        changed, removed = _changes(before, after)
        items = [after[name] for name in changed]
        for item, cells in zip(items, self._rows(answer, items, now)[1:], strict=True):
            yield terminal.aligned(cells, self._widths)
            yield from status_view.reasons(item, 0)
        for name in removed:
            yield f"{terminal.printable(name)}  removed"

    def _rows(
        self, answer: status.Status, items: list[status.Object] | tuple[status.Object, ...], now: float
    ) -> list[tuple[str, ...]]:
        rows = (status_view.row(item, answer, now, is_wide=self._is_wide) for item in items)
        return [status_view.headings(is_wide=self._is_wide), *rows]
