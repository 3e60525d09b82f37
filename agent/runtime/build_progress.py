"""A build's progress where only how far it has got is told: the step that began last, by its title."""

from agent.dockerfile import builds
from agent.runtime import api


def titles(progress: api.ProgressSink) -> builds.Report:
    """Return what takes a build's progress and tells titles of steps."""

    def report(event: builds.Progress) -> None:
        if isinstance(event, builds.StepBegun):
            progress(api.Progress(event.title))

    return report
