"""``events --watch``: the last events, then a line for each one more."""

from collections.abc import Callable, Sequence

from agent import invocation
from agent.agent_api import past
from agent.cli import flags, past_view, terminal, watching

LIMIT = 1000
"""Events that are asked for at a time: more than an agent brings about between two questions."""

_LEAST = (20, 30, 20, 16)
"""Columns' widths from the first line on: most of what may follow fits into them."""


def watch(ask: Callable[[], tuple[past.Event, ...]], output: flags.Output, invoked: invocation.Invocation) -> None:
    """Print events until somebody presses Ctrl-C."""
    previous: frozenset[past.Event] | None = None
    widths: list[int] = []
    for answer in watching.answers(ask):
        fresh = fresh_events(previous, answer)
        if output is not flags.Output.TEXT:
            _print_documents(fresh, output)
        elif previous is None:
            widths = _print_table(fresh, invoked.completed)
        else:
            widths = _print_lines(fresh, widths, invoked.completed)
        terminal.flush()
        previous = frozenset(answer) or previous or frozenset()


def fresh_events(previous: frozenset[past.Event] | None, answer: Sequence[past.Event]) -> list[past.Event]:
    """Return the events that are new: those behind the last one that was there before.

    ``None``: nothing was asked yet, so that all of them are new. What stands before that one is older: a larger
    question has brought it. It goes by the order in which they were recorded, as clocks are set back.
    """
    positions = [position for position, event in enumerate(answer) if event in (previous or ())]
    return list(answer[positions[-1] + 1 :] if positions else answer)


def _print_table(events: Sequence[past.Event], completed: Callable[[str], str]) -> list[int]:
    """Print the first events, and return how wide the columns are."""
    rows = [past_view.EVENT_HEADINGS, *map(past_view.event_row, events)]
    widths = watching.wider(_LEAST, rows)
    for line in past_view.table(rows[0], rows[1:], [(event.error,) for event in events], widths):
        terminal.result(completed(line))
    return widths


def _print_lines(events: Sequence[past.Event], widths: list[int], completed: Callable[[str], str]) -> list[int]:
    """Print events below those before, and return how wide the columns are now."""
    rows = [tuple(map(terminal.printable, past_view.event_row(event))) for event in events]
    widths = watching.wider(widths, rows)
    for event, cells in zip(events, rows, strict=True):
        terminal.result(terminal.aligned(cells, widths))
        for line in event.error.splitlines():
            terminal.result(completed(terminal.printable(f"    {line}")))
    return widths


def _print_documents(events: Sequence[past.Event], output: flags.Output) -> None:
    for document in past.events_document(tuple(events))["events"]:
        if output is flags.Output.YAML:
            terminal.result("---")
            terminal.result_document(document, output)
        else:
            terminal.result_line(document)
