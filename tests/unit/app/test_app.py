"""What is joined where everything is."""

import dataclasses
import pathlib

import pytest

from agent import app, settings, trust
from agent.cli import main
from agent.converge import intake, journal, once, reading, signals
from agent.reasons import Reason

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
    assert {step.action.cause.reason for step in planned.steps} == {Reason.MISSING}
    emitted: list[signals.Signal] = []
    assert (await app.apply(chosen, str(source), emitted.append)).outcome is once.Outcome.APPLIED
    passes = [signal for signal in emitted if isinstance(signal, signals.PassFinished)]
    assert [finished.plan.drift for finished in passes if finished.plan.drift] == []
    assert {step.action.cause.reason for step in passes[0].plan.steps} == {Reason.MISSING}


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


HOST = MANIFEST.replace("networks: none", "networks: host")


async def test_admission__holds_alike_for_reading_applying_and_what_stood_before(
    chosen: settings.Settings, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "source"
    (source / "web.yaml").write_text(HOST)
    strict = dataclasses.replace(chosen, admission=settings.AdmissionSettings("baseline"))
    (problem,) = (await app.read(strict, str(source))).problems
    assert "set in the configuration: admission: {hostNetwork: true}" in problem.hint
    with pytest.raises(reading.BadManifests):
        await app.apply(strict, str(source), lambda _: None)
    assert (await app.apply(chosen, str(source), lambda _: None)).outcome is once.Outcome.APPLIED
    admitted = dataclasses.replace(strict, admission=settings.AdmissionSettings("baseline", host_network=True))
    assert (await app.apply(admitted, str(source), lambda _: None)).outcome is once.Outcome.APPLIED
    assert (await app.delete(strict, str(source), lambda _: None)).outcome is once.Outcome.APPLIED, (
        "what is no longer admitted can be removed all the same"
    )


async def test_admission__became_stricter__what_stood_last_does_not_stand_any_more(
    chosen: settings.Settings, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "source"
    (source / "web.yaml").write_text(HOST)
    await app.apply(chosen, str(source), lambda _: None)
    policy = trust.policy_for(
        dataclasses.replace(chosen, admission=settings.AdmissionSettings("baseline")), str(source)
    )
    parts_of = app.open_parts(chosen, lambda _: None, policy)
    async with app.open_source(chosen, str(source)) as opened, parts_of as parts:
        desired = (await app.read(chosen, str(source))).checked()
        parts.book.accept(journal.Good(desired, str(source), 1.0))
        around = intake.Surroundings(opened, parts.book, parts.sink, parts.time, parts.parse_options)
        taken = intake.Intake(around, lambda: None)
        assert list(taken.standing) == []
        assert taken.trouble.startswith("no longer admitted: Container/web: the host's network")
        await taken.read()
        assert list(taken.standing) == []
