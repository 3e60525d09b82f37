"""``history`` and ``events``: what was read and done. The running agent answers; where none runs, the journal."""

from typing import Annotated

from agent import invocation, settings
from agent.agent_api import past
from agent.cli import asking, completion, flags, options, past_view, terminal, typed

LimitOption = Annotated[int, typed.Option("--limit", "-n", min=1, max=2**31 - 1, help="Only the last so many.")]


@options.with_settings()
def history(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    limit: LimitOption = past.DEFAULT_LIMIT,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print the revisions of the source that were read, with what became of each; the last one at the end."""

    def recorded() -> tuple[past.Revision, ...]:
        from agent.agent_api import records
        from agent.converge import journal

        with journal.Journal(chosen.journal) as book:
            return records.revisions(book.history, limit)

    revisions = asking.ask(chosen, "/v1/history", {"limit": limit}, past.restore_history, recorded)
    if output is not options.Output.TEXT:
        terminal.result_document(past.history_document(revisions), output)
        return
    for line in past_view.history_lines(revisions):
        terminal.result(invoked.completed(line))


@options.with_settings()
def events(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    name: Annotated[
        str | None,
        typed.Argument(
            metavar="[NAME]",
            help="Only of this object: NAME or KIND/NAME.",
            callback=flags.not_blank,
            completion=completion.objects,
        ),
    ] = None,
    limit: LimitOption = past.DEFAULT_LIMIT,
    output: options.OutputOption = options.Output.TEXT,
    watch: options.WatchOption = False,
) -> None:
    """Print the actions that were taken on objects, with their reasons and results; the last one at the end.

    An event says when its action ended and how long it took; it never has the values that differed.
    """
    answer = _events(chosen, name or "", limit)
    if watch:
        from agent.cli import event_watch

        first = iter([answer])
        event_watch.watch(lambda: next(first, None) or _events(chosen, name or "", event_watch.LIMIT), output, invoked)
    if output is not options.Output.TEXT:
        terminal.result_document(past.events_document(answer), output)
        return
    for line in past_view.event_lines(answer, name or ""):
        terminal.result(invoked.completed(line))


def _events(chosen: settings.Settings, name: str, limit: int) -> tuple[past.Event, ...]:
    """Return the last events, as the agent answers or the journal has them."""

    def recorded() -> tuple[past.Event, ...]:
        from agent.agent_api import records
        from agent.converge import journal

        with journal.Journal(chosen.journal) as book:
            return records.events(book.history, limit, name)

    return asking.ask(chosen, "/v1/events", {"limit": limit, "object": name}, past.restore_events, recorded)
