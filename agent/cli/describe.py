"""``describe``: all that is known of one object. The running agent answers, or the host and the journal."""

import time
from typing import Annotated

from agent import invocation, settings
from agent.agent_api import descriptions
from agent.cli import asking, completion, describe_view, flags, options, status, terminal, typed


@options.with_settings()
def describe(
    chosen: settings.Settings,
    invoked: invocation.Invocation,
    name: Annotated[
        str,
        typed.Argument(
            metavar="NAME", help="NAME or KIND/NAME.", callback=flags.not_blank, completion=completion.objects
        ),
    ],
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Print an object's state with its reasons, its declaration in short, and its last ten events.

    Digests of its image are there too; never commands, environments or labels, which may be secrets.
    """

    def recorded() -> descriptions.Answer:
        from agent.agent_api import records
        from agent.converge import journal
        from agent.model import state

        answer = status.read_status(chosen)
        with journal.Journal(chosen.journal) as book:
            good = book.good()
            desired = state.DesiredState("") if good is None else good.desired
            return records.describe(name, answer, desired, book.history)

    answer = asking.ask(chosen, "/v1/objects", {"name": name}, descriptions.restore, recorded)
    described = answer.checked(name)
    if output is not options.Output.TEXT:
        terminal.result_document(descriptions.document(answer), output)
        return
    for number, description in enumerate(described):
        for line in (*([""] if number else []), *describe_view.lines(description, time.time())):
            terminal.result(invoked.completed(line))
