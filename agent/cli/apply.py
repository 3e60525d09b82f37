"""``apply`` and ``delete``: converge once and come back."""

import pathlib
import time

from agent import invocation, settings
from agent.cli import options, terminal


@options.with_settings()
def apply(
    chosen: settings.Settings,
    source: options.SourceOrPlanArgument,
    invoked: invocation.Invocation,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Converge once and exit: with 0 when all that SOURCE declares is there and up, and with 1 otherwise.

    An agent that runs on SOURCE does it, by a look at it now; beside an agent of another source it is refused.

    SOURCE may be a file that plan --output FILE has written: what it shows is brought about, and whatever waits for it;
    where anything has changed since, nothing is, and the changes are printed. Beside a running agent it is refused.
    """
    from agent.cli import beside, convergence, plan_files

    ending = convergence.Ending(output, "applied", invoked)
    file = pathlib.Path(source)
    if not plan_files.is_plan(file):
        convergence.apply(chosen, source, ending)
    from agent import saved_plans

    plan = plan_files.load(file)
    beside.check_plan(chosen, plan.origin.source)
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
    """Remove what SOURCE declares, and nothing else. Volumes stay unless their manifest says deletionPolicy: Delete.

    Beside a running agent it is refused: that would bring back what is declared.
    """
    from agent import app
    from agent.cli import beside, convergence

    beside.check_delete(chosen, source)
    ending = convergence.Ending(output, "deleted", invoked)
    convergence.converge(lambda sink: app.delete(chosen, source, sink), ending)
