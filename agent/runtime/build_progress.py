"""A build's progress as one line and some counts: the title of the step that began last, and how steps end."""

from agent.dockerfile import steps as build_steps
from agent.runtime import api


def titles(progress: api.ProgressSink) -> build_steps.Report:
    """Return what takes a build's progress, and tells titles and ends of steps."""
    title = ""

    def report(event: build_steps.Progress) -> None:
        nonlocal title
        if isinstance(event, build_steps.StepBegun):
            title = event.title
            progress(api.Progress(title))
        elif isinstance(event, build_steps.StepEnded):
            progress(api.Progress(title, build_step=_result(event)))

    return report


def _result(step: build_steps.StepEnded) -> api.StepResult:
    if step.error:
        return api.StepResult.FAILED
    return api.StepResult.CACHED if step.is_cached else api.StepResult.DONE
