"""How far a build has got, where that is one line and some counts."""

from agent.dockerfile import steps as build_steps
from agent.runtime import api, build_progress


def test_titles__of_a_builds_steps__are_told_with_how_they_end() -> None:
    told: list[api.Progress] = []
    report = build_progress.titles(told.append)
    report(build_steps.StepBegun(1, "[1/3] FROM a"))
    report(build_steps.StepEnded(1, 0.1, is_cached=True))
    report(build_steps.StepBegun(2, "[2/3] RUN b"))
    report(build_steps.StepOutput(2, b"secret"))
    report(build_steps.StepEnded(2, 0.1))
    report(build_steps.StepBegun(3, "[3/3] RUN c"))
    report(build_steps.StepEnded(3, 0.1, error="exit code 1"))
    assert [(progress.message, progress.build_step) for progress in told] == [
        ("[1/3] FROM a", None),
        ("[1/3] FROM a", api.StepResult.CACHED),
        ("[2/3] RUN b", None),
        ("[2/3] RUN b", api.StepResult.DONE),
        ("[3/3] RUN c", None),
        ("[3/3] RUN c", api.StepResult.FAILED),
    ]
