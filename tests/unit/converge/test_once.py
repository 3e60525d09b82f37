"""Converging once: when it comes back, and with what."""

import asyncio
import dataclasses

import pytest

from agent import errors
from agent.converge import goal as goals
from agent.converge import journal, once, reading, signals
from agent.model import container, health, state, volume
from agent.model.key import Kind
from agent.sources import api
from tests import builders
from tests.unit.converge import conftest

virtual = pytest.mark.looptime
DB = builders.config("db")
MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: app:1, networks: none}\n"


def needing(condition: container.DependencyCondition, name: str = "db") -> container.ContainerConfig:
    return builders.config("web", depends_on=(container.Dependency(name, condition),))


async def converge(stage: conftest.Stage, desired: state.DesiredState, deadline: float = 60.0) -> once.Converged:
    return await once.converge_once(stage.parts, goals.Goal.everything(desired), deadline)


@virtual
async def test_converge_once__all_goes_well__is_applied(stage: conftest.Stage) -> None:
    result = await converge(stage, conftest.declare(DB, needing(container.DependencyCondition.STARTED)))
    assert result.outcome is once.Outcome.APPLIED
    assert result.unfinished == ()
    assert stage.states() == {"db": "running", "web": "running"}
    assert {str(status.key) for status in result.statuses} == {
        "Container/db",
        "Container/web",
        f"Image/{builders.IMAGE}",
    }


@virtual
async def test_converge_once__nothing_to_do__comes_back_at_once(stage: conftest.Stage) -> None:
    await converge(stage, conftest.declare(DB))
    await asyncio.sleep(5)
    before, begun = len(stage.actions()), asyncio.get_running_loop().time()
    assert (await converge(stage, conftest.declare(DB))).outcome is once.Outcome.APPLIED
    assert asyncio.get_running_loop().time() - begun < 0.01
    assert len(stage.actions()) == before


@virtual
async def test_converge_once__started__comes_back_when_it_has_run_for_a_moment(stage: conftest.Stage) -> None:
    begun = asyncio.get_running_loop().time()
    assert (await converge(stage, conftest.declare(DB))).outcome is once.Outcome.APPLIED
    assert 1.0 <= asyncio.get_running_loop().time() - begun < 1.1


def crashing(stage: conftest.Stage, times: int, after: float, code: int = 3) -> None:
    """End ``db`` so many times, each time so long after its start."""
    remaining = [times]

    def sink(signal: signals.Signal) -> None:
        stage.emitted.append(signal)
        started = isinstance(signal, signals.ActionFinished) and type(signal.action).__name__ == "StartContainer"
        if started and remaining[0]:
            remaining[0] -= 1
            asyncio.get_running_loop().call_later(after, lambda: stage.world.end("db", code))

    stage.parts = dataclasses.replace(stage.parts, sink=sink)


@virtual
@pytest.mark.parametrize("after", [0.0, 0.1, 0.9])
async def test_converge_once__ends_soon_after_each_start__is_not_applied_and_says_why(
    stage: conftest.Stage, after: float
) -> None:
    crashing(stage, 100, after)
    result = await converge(stage, conftest.declare(DB))
    assert (result.outcome, result.timed_out) == (once.Outcome.PARTIAL, False)
    assert [(str(unfinished.key), unfinished.reason, unfinished.message) for unfinished in result.unfinished] == [
        ("Container/db", "BackOff", "exited with 3; failure 2 in a row")
    ]
    assert stage.conditions("Container/db")["Ready"] == ("False", "BackOff")


@virtual
async def test_converge_once__fails_once_and_then_runs__is_not_applied_and_says_why(stage: conftest.Stage) -> None:
    crashing(stage, 1, 0.5)
    result = await converge(stage, conftest.declare(DB))
    assert stage.states() == {"db": "running"}
    assert result.outcome is once.Outcome.PARTIAL
    assert [(unfinished.reason, unfinished.message) for unfinished in result.unfinished] == [
        ("Restarted", "exited with 3 meanwhile; it runs again")
    ]
    result = await converge(stage, conftest.declare(DB))
    assert result.outcome is once.Outcome.APPLIED


@virtual
async def test_converge_once__never_becomes_ready__comes_back_when_its_probe_has_had_its_chances(
    stage: conftest.Stage,
) -> None:
    stage.world.program("check", lambda _: (1, b"no database"))
    probe = health.Probe(health.ExecProbe(("check",)), 0.0, 2.0, 1.0, 1, 5)
    db = dataclasses.replace(DB, health=health.HealthConfig(None, probe, None))
    begun = asyncio.get_running_loop().time()
    result = await converge(stage, conftest.declare(db))
    assert 10.0 <= asyncio.get_running_loop().time() - begun < 10.5
    assert (result.outcome, result.timed_out) == (once.Outcome.PARTIAL, False)
    assert [(unfinished.reason, unfinished.message) for unfinished in result.unfinished] == [
        ("Unready", "readiness: check exited with 1: no database")
    ]


@virtual
async def test_converge_once__a_conflict_that_passes__is_tried_again(stage: conftest.Stage) -> None:
    stage.world.fail("containers.start", errors.Conflict("in use", reason="PortInUse"))
    assert (await converge(stage, conftest.declare(DB))).outcome is once.Outcome.APPLIED


@virtual
@pytest.mark.parametrize("error", [errors.Conflict("in use"), errors.InvalidArgument("no such program")])
async def test_converge_once__one_fails_for_good__is_partial_and_waits_for_nobody(
    stage: conftest.Stage, error: errors.Failure
) -> None:
    stage.world.fail("networks.create", error, times=100)
    net = builders.network_config()
    bad = builders.config("bad", networks=(container.NetworkAttachment("shop"),))
    needy = needing(container.DependencyCondition.HEALTHY, "bad")
    desired = conftest.declare(DB, bad, needy).with_objects({Kind.NETWORK: (net,)})
    begun = asyncio.get_running_loop().time()
    result = await converge(stage, desired)
    assert asyncio.get_running_loop().time() - begun < 5
    assert result.outcome is once.Outcome.PARTIAL
    assert [str(unfinished.key) for unfinished in result.unfinished] == [
        "Container/bad",
        "Container/web",
        "Network/shop",
    ]
    assert not result.timed_out
    assert stage.states() == {"db": "running", "web": "created"}


@virtual
async def test_converge_once__nothing_works__is_failed(stage: conftest.Stage) -> None:
    stage.world.fail("images.ensure", errors.Unavailable("no route", reason="ImagePullFailed"), times=100)
    result = await converge(stage, conftest.declare(DB))
    assert result.outcome is once.Outcome.FAILED
    assert [str(unfinished.key) for unfinished in result.unfinished] == ["Container/db", f"Image/{builders.IMAGE}"]


@virtual
async def test_converge_once__dependency_has_to_become_healthy__waits(stage: conftest.Stage) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 7.0, 1.0, 1.0, 1, 3)
    db = dataclasses.replace(DB, health=health.HealthConfig(None, probe, None))
    result = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.HEALTHY)))
    assert result.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "running", "web": "running"}


@virtual
async def test_converge_once__dependency_has_to_complete__waits(stage: conftest.Stage) -> None:
    db = dataclasses.replace(DB, restart=dataclasses.replace(DB.restart, policy=container.RestartPolicy.ON_FAILURE))
    asyncio.get_running_loop().call_later(20.0, lambda: stage.world.end("db", 0))
    result = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.COMPLETED)))
    assert result.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "exited", "web": "running"}


@virtual
async def test_converge_once__dependency_has_failed_for_good__does_not_wait(stage: conftest.Stage) -> None:
    db = dataclasses.replace(DB, restart=dataclasses.replace(DB.restart, policy=container.RestartPolicy.NEVER))
    asyncio.get_running_loop().call_later(2.0, lambda: stage.world.end("db", 1))
    result = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.COMPLETED)), deadline=900)
    assert not result.timed_out
    assert result.outcome is once.Outcome.PARTIAL


@virtual
async def test_converge_once__takes_too_long__comes_back_with_what_it_has(stage: conftest.Stage) -> None:
    stage.world.delay("containers.start", 1000.0)
    result = await converge(stage, conftest.declare(DB), deadline=30.0)
    assert result.timed_out
    assert result.outcome is once.Outcome.PARTIAL
    assert [str(unfinished.key) for unfinished in result.unfinished] == ["Container/db"]


@virtual
async def test_converge_once__runtime_cannot_be_observed__is_failed(stage: conftest.Stage) -> None:
    class Down:
        def use(self, logins: tuple[()]) -> None:
            assert logins == ()

        async def list(self) -> tuple[()]:
            raise errors.Unavailable("no engine")

    stage.parts = dataclasses.replace(
        stage.parts,
        runtime=dataclasses.replace(stage.parts.runtime, images=Down()),  # type: ignore[arg-type]
    )
    result = await converge(stage, conftest.declare(DB), deadline=5.0)
    assert (result.outcome, result.timed_out) == (once.Outcome.FAILED, True)


@virtual
async def test_converge_once__ran_long_before_with_a_delayed_probe__does_not_wait_for_the_delay_again(
    stage: conftest.Stage,
) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 30.0, 10.0, 1.0, 1, 3)
    db = dataclasses.replace(DB, health=health.HealthConfig(None, probe, None))
    begun = asyncio.get_running_loop().time()
    assert (await converge(stage, conftest.declare(db))).outcome is once.Outcome.APPLIED
    first = asyncio.get_running_loop().time()
    assert 30.0 <= first - begun < 30.1
    assert (await converge(stage, conftest.declare(db))).outcome is once.Outcome.APPLIED
    assert asyncio.get_running_loop().time() - first < 0.1
    assert stage.conditions("Container/db")["Ready"] == ("True", "Healthy")


async def test_apply__good_source__is_remembered_as_the_last_good_one(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    script.write("web.yaml", MANIFEST)
    result = await once.apply(stage.parts, script)
    assert result.outcome is once.Outcome.APPLIED
    good = stage.parts.book.good()
    assert good is not None
    assert good.desired.revision == result.revision
    (revision,) = stage.parts.book.history.revisions()
    assert revision.applied_at is not None
    assert [signal.revision for signal in stage.of(signals.RevisionApplied)] == [result.revision]


async def test_apply__what_stands_already__is_no_other_reading(stage: conftest.Stage, script: conftest.Script) -> None:
    for manifest in (MANIFEST, MANIFEST, MANIFEST.replace("app:1", "app:2"), MANIFEST, MANIFEST):
        script.write("web.yaml", manifest)
        await once.apply(stage.parts, script)
    rows = stage.parts.book.history.revisions()
    assert len(rows) == 3
    assert rows[0].revision == rows[2].revision != rows[1].revision
    assert all(row.applied_at is not None for row in rows)


async def test_apply__manifests_have_problems__changes_nothing(stage: conftest.Stage, script: conftest.Script) -> None:
    script.write("web.yaml", MANIFEST)
    await once.apply(stage.parts, script)
    script.write("bad.yaml", "kind: [")
    with pytest.raises(reading.BadManifests, match="1 problem") as caught:
        await once.apply(stage.parts, script)
    assert caught.value.reading.problems[0].path == "bad.yaml"
    assert caught.value.reading.contents["bad.yaml"] == b"kind: ["
    assert stage.states() == {"web": "running"}


async def test_apply__source_is_empty__removes_nothing(stage: conftest.Stage, script: conftest.Script) -> None:
    script.write("web.yaml", MANIFEST)
    await once.apply(stage.parts, script)
    script.files.clear()
    assert (await once.apply(stage.parts, script)).outcome is once.Outcome.APPLIED
    assert stage.states() == {"web": "running"}
    good = stage.parts.book.good()
    assert good is not None
    assert [container.name for container in good.desired.containers] == ["web"]


async def test_apply__source_is_empty__says_so(stage: conftest.Stage, script: conftest.Script) -> None:
    result = await once.apply(stage.parts, script)
    assert (result.outcome, result.declares_nothing) == (once.Outcome.APPLIED, True)
    script.write("web.yaml", MANIFEST)
    assert not (await once.apply(stage.parts, script)).declares_nothing


@virtual
@pytest.mark.parametrize(("policy", "pause"), [("Retain", 10.0), ("Delete", 60.0)])
async def test_apply__a_file_is_written_anew_step_by_step__waits_until_it_is_whole(
    stage: conftest.Stage, script: conftest.Script, policy: str, pause: float
) -> None:
    data = (
        f"---\napiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {{name: data}}\nspec: {{deletionPolicy: {policy}}}\n"
    )
    script.write("web.yaml", MANIFEST + data)
    await once.apply(stage.parts, script)
    script.write("web.yaml", MANIFEST)
    script.age = 0.0
    loop = asyncio.get_running_loop()
    began = loop.time()

    def go_on() -> None:
        script.write("web.yaml", MANIFEST + data)

    loop.call_later(pause - 1.5, go_on)
    assert (await once.apply(stage.parts, script)).outcome is once.Outcome.APPLIED
    assert loop.time() - began < pause
    assert [volume.name for volume in await stage.parts.runtime.volumes.list()] == ["data"]
    (awaited,) = stage.of(signals.SourceAwaited)
    assert (awaited.missing, awaited.seconds) == ("Volume/data", pause)


async def declare_less(stage: conftest.Stage, script: conftest.Script, age: float) -> None:
    """Apply two containers, and then declare one of them only, in files that were written so many seconds ago."""
    script.write("web.yaml", MANIFEST)
    script.write("api.yaml", MANIFEST.replace("web", "api"))
    await once.apply(stage.parts, script)
    del script.files["api.yaml"]
    script.age = age


@virtual
async def test_apply__a_file_that_declares_less_has_rested__is_believed(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    await declare_less(stage, script, age=20.0)
    began = asyncio.get_running_loop().time()
    assert (await once.apply(stage.parts, script)).outcome is once.Outcome.APPLIED
    assert asyncio.get_running_loop().time() - began < 5.0
    assert stage.states() == {"web": "running"}


@virtual
async def test_apply__a_file_that_declares_less_never_rests__changes_nothing_and_says_why(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    await declare_less(stage, script, age=0.0)
    with pytest.raises(api.SourceUnavailable, match="no longer declares Container/api, and does not rest"):
        await once.apply(stage.parts, script)
    assert stage.states() == {"api": "running", "web": "running"}


@virtual
async def test_apply__the_journal_was_damaged__nothing_is_removed_until_the_source_has_rested(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    script.write("web.yaml", MANIFEST + "---\n" + MANIFEST.replace("web", "db"))
    await once.apply(stage.parts, script)
    stage.forget()
    script.age = 3.0
    script.write("web.yaml", MANIFEST)
    with pytest.raises(api.SourceUnavailable, match="no longer declares what was declared before the journal was"):
        await once.apply(stage.parts, script)
    assert stage.states() == {"web": "running", "db": "running"}


@virtual
async def test_delete__some_of_what_is_there__leaves_the_rest_alone(stage: conftest.Stage) -> None:
    removed = builders.volume_config("gone", volume.DeletionPolicy.DELETE)
    kept = builders.volume_config("kept")
    web = builders.config("web")
    everything = conftest.declare(DB, web).with_objects({Kind.VOLUME: (removed, kept)})
    await converge(stage, everything)
    foreign = dataclasses.replace(stage.world.find("db"), id="foreign", name="foreign", labels=())
    stage.world.containers["foreign"] = foreign
    stage.parts.book.accept(journal.Good(everything, "script", 1.0))

    declared = conftest.declare(web).with_objects({Kind.VOLUME: (removed, kept)})
    result = await once.delete(stage.parts, declared)

    assert result.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "running", "foreign": "running"}
    assert set(stage.world.volumes) == {"kept"}
    assert set(stage.world.images) == {builders.IMAGE}
    good = stage.parts.book.good()
    assert good is not None
    assert [container.name for container in good.desired.containers] == ["db"]
    assert [str(status.key) for status in stage.parts.book.statuses()] == [
        *("Container/db", f"Image/{builders.IMAGE}", "Volume/kept"),
    ]
    assert {str(status.key): status.detail for status in result.statuses} == {"Volume/kept": "retained"}


@virtual
async def test_delete__nothing_of_it_is_there__is_done(stage: conftest.Stage) -> None:
    result = await once.delete(stage.parts, conftest.declare(DB))
    assert (result.outcome, result.statuses) == (once.Outcome.APPLIED, ())


@virtual
async def test_delete__it_cannot_be_removed__is_told(stage: conftest.Stage) -> None:
    await converge(stage, conftest.declare(DB))
    stage.world.fail("containers.remove", errors.Unavailable("busy"), times=100)
    result = await once.delete(stage.parts, conftest.declare(DB))
    assert result.outcome is once.Outcome.FAILED
    assert [str(unfinished.key) for unfinished in result.unfinished] == ["Container/db", f"Image/{builders.IMAGE}"]


@virtual
async def test_delete__images_that_nobody_else_declares__what_broken_pulls_have_left_of_them_is_let_go(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []

    async def forget(reference: str) -> None:
        forgotten.append(reference)

    monkeypatch.setattr(type(stage.parts.runtime.images), "forget", lambda _, reference: forget(reference))
    other = conftest.declare(builders.config("api", image="docker.io/library/api:1"))
    stage.parts.book.accept(journal.Good(other, "elsewhere", 1.0))
    await once.delete(stage.parts, conftest.declare(DB))
    assert forgotten == [builders.IMAGE]


@virtual
async def test_delete__it_is_suspended__is_refused_at_once_until_it_is_resumed(stage: conftest.Stage) -> None:
    await converge(stage, conftest.declare(DB))
    key = frozenset({state.key_of(DB)})
    stage.parts.book.suspend(key, 1.0)
    begun = asyncio.get_running_loop().time()
    result = await once.delete(stage.parts, conftest.declare(DB))
    assert asyncio.get_running_loop().time() - begun < 1.0
    assert result.outcome is not once.Outcome.APPLIED
    assert [(str(item.key), item.reason) for item in result.unfinished if item.key in key] == [
        ("Container/db", "Suspended")
    ]
    assert stage.states() == {"db": "running"}
    stage.parts.book.resume(key, 2.0)
    assert (await once.delete(stage.parts, conftest.declare(DB))).outcome is once.Outcome.APPLIED
    assert stage.states() == {}


@virtual
async def test_converge_once__a_suspended_object_is_not_as_declared__is_not_applied(stage: conftest.Stage) -> None:
    await converge(stage, conftest.declare(DB))
    stage.parts.book.suspend(None, 1.0)
    assert (await converge(stage, conftest.declare(DB))).outcome is once.Outcome.APPLIED
    changed = dataclasses.replace(DB, args=("x",))
    result = await converge(stage, conftest.declare(changed))
    assert [(str(item.key), item.reason) for item in result.unfinished] == [("Container/db", "Suspended")]
