"""``apply`` and ``delete``: converge once and come back."""

import pathlib
import time

from agent import invocation, settings
from agent.cli import options, terminal


@options.with_settings()
def apply(
    chosen: settings.Settings,
    source: options.SourceArgument,
    invoked: invocation.Invocation,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Converge once and exit: with 0 when all that SOURCE declares is there and up, and with 1 otherwise.

    An agent that runs on SOURCE does it, by a look at it now; beside an agent of another source it is refused.

    SOURCE may be a file that plan --output FILE has written: what it shows is brought about, and whatever waits for it;
    where anything has changed since, nothing is, and the changes are printed.
    """
    from agent.cli import convergence, plan_files

    ending = convergence.Ending(output, "applied", invoked)
    file = pathlib.Path(source)
    if not plan_files.is_plan(file):
        convergence.apply(chosen, source, ending)
    from agent import saved_plans

    plan = plan_files.load(file)
    age = terminal.age(time.time() - plan.origin.created_at)
    terminal.note(terminal.printable(f"applying the plan for {plan.origin.source} that was made {age} ago"))
    convergence.converge(lambda sink: saved_plans.apply(chosen, plan, sink), ending)


@options.with_settings()
def delete(
    chosen: settings.Settings,
    source: options.SourceArgument,
    invoked: invocation.Invocation,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove what SOURCE declares, and nothing else. Volumes stay unless their manifest says deletionPolicy: Delete."""
    from agent import app
    from agent.cli import convergence

    ending = convergence.Ending(output, "deleted", invoked)
    convergence.converge(lambda sink: app.delete(chosen, source, sink), ending)
