"""What is joined where everything is."""

import pathlib

import pytest

from agent import app, settings
from agent.cli import main
from agent.converge import once, signals
from agent.plan import actions

MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: app:1, networks: none}\n"


@pytest.fixture
def chosen(tmp_path: pathlib.Path) -> settings.Settings:
    """Choose the memory runtime, over folders that go with the test."""
    (tmp_path / "source").mkdir()
    return settings.Settings(root=tmp_path / "root", run_dir=tmp_path / "run", runtime="memory")


async def test_memory_runtime__began_anew__what_ended_with_the_last_one_is_missing_and_no_drift(
    chosen: settings.Settings, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "source"
    (source / "web.yaml").write_text(MANIFEST)
    assert (await app.apply(chosen, str(source), lambda _: None)).outcome is once.Outcome.APPLIED
    planned = app.plan_for((await app.read(chosen, str(source))).checked(), await app.observe(chosen))
    assert {step.action.cause.reason for step in planned.steps} == {actions.Reason.MISSING}
    told: list[signals.Signal] = []
    assert (await app.apply(chosen, str(source), told.append)).outcome is once.Outcome.APPLIED
    passes = [one for one in told if isinstance(one, signals.PassFinished)]
    assert [one.plan.drift for one in passes if one.plan.drift] == []
    assert {step.action.cause.reason for step in passes[0].plan.steps} == {actions.Reason.MISSING}


def test_plan__source_is_empty__says_what_that_means(
    chosen: settings.Settings,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIMTAB_CONFIG", "/dev/null")
    flags = ["--root", str(chosen.root), "--run-dir", str(chosen.run), "--runtime", "memory"]
    assert main.main([*flags, "plan", str(tmp_path / "source")]) == 0
    assert capsys.readouterr() == ("Nothing to change.\n", "SOURCE declares nothing\n")
