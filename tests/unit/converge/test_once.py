"""Converging once: when it comes back, and with what."""

import asyncio
import dataclasses

import pytest

from agent.converge import intake, journal, once, signals
from agent.converge import wish as wishes
from agent.model import container, health, state, volume
from agent.runtime import errors
from tests import builders
from tests.unit.converge import conftest

virtual = pytest.mark.looptime
DB = builders.config("db")
MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: app:1, networks: none}\n"


def needing(condition: container.DependencyCondition, name: str = "db") -> container.ContainerConfig:
    return builders.config("web", depends_on=(container.Dependency(name, condition),))


async def converge(stage: conftest.Stage, desired: state.DesiredState, deadline: float = 60.0) -> once.Converged:
    return await once.converge_once(stage.parts, wishes.Wish.everything(desired), deadline)


@virtual
async def test_converge_once__all_goes_well__is_applied(stage: conftest.Stage) -> None:
    found = await converge(stage, conftest.declare(DB, needing(container.DependencyCondition.STARTED)))
    assert found.outcome is once.Outcome.APPLIED
    assert found.unfinished == ()
    assert stage.states() == {"db": "running", "web": "running"}
    assert {str(one.key) for one in found.statuses} == {"Container/db", "Container/web", f"Image/{builders.IMAGE}"}


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
    """Let ``db`` end by itself so many times, each time so long after its start."""
    left = [times]

    def sink(signal: signals.Signal) -> None:
        stage.told.append(signal)
        started = isinstance(signal, signals.ActionFinished) and type(signal.action).__name__ == "StartContainer"
        if started and left[0]:
            left[0] -= 1
            asyncio.get_running_loop().call_later(after, lambda: stage.world.end("db", code))

    stage.parts = dataclasses.replace(stage.parts, sink=sink)


@virtual
@pytest.mark.parametrize("after", [0.0, 0.1, 0.9])
async def test_converge_once__ends_soon_after_each_start__is_not_applied_and_says_why(
    stage: conftest.Stage, after: float
) -> None:
    crashing(stage, 100, after)
    found = await converge(stage, conftest.declare(DB))
    assert (found.outcome, found.timed_out) == (once.Outcome.PARTIAL, False)
    assert [(str(one.key), one.reason, one.message) for one in found.unfinished] == [
        ("Container/db", "BackOff", "exited with 3; failure 2 in a row")
    ]
    assert stage.conditions("Container/db")["Ready"] == ("False", "BackOff")


@virtual
async def test_converge_once__fails_once_and_then_runs__is_not_applied_and_says_why(stage: conftest.Stage) -> None:
    crashing(stage, 1, 0.5)
    found = await converge(stage, conftest.declare(DB))
    assert stage.states() == {"db": "running"}
    assert found.outcome is once.Outcome.PARTIAL
    assert [(one.reason, one.message) for one in found.unfinished] == [
        ("Restarted", "exited with 3 meanwhile; it runs again")
    ]
    again = await converge(stage, conftest.declare(DB))
    assert again.outcome is once.Outcome.APPLIED


@virtual
async def test_converge_once__never_becomes_ready__comes_back_when_its_probe_has_had_its_chances(
    stage: conftest.Stage,
) -> None:
    stage.world.program("check", lambda _: (1, b"no database"))
    probe = health.Probe(health.ExecProbe(("check",)), 0.0, 2.0, 1.0, 1, 5)
    db = dataclasses.replace(DB, health=health.HealthConfig(None, probe, None))
    begun = asyncio.get_running_loop().time()
    found = await converge(stage, conftest.declare(db))
    assert 10.0 <= asyncio.get_running_loop().time() - begun < 10.5
    assert (found.outcome, found.timed_out) == (once.Outcome.PARTIAL, False)
    assert [(one.reason, one.message) for one in found.unfinished] == [
        ("Unready", "readiness: check exited with 1: no database")
    ]


@virtual
async def test_converge_once__a_conflict_that_passes__is_tried_again(stage: conftest.Stage) -> None:
    stage.world.fail("containers.start", errors.Conflict("in use", reason="PortInUse"))
    assert (await converge(stage, conftest.declare(DB))).outcome is once.Outcome.APPLIED


@virtual
@pytest.mark.parametrize("error", [errors.Conflict("in use"), errors.InvalidArgument("no such program")])
async def test_converge_once__one_fails_for_good__is_partial_and_waits_for_nobody(
    stage: conftest.Stage, error: errors.RuntimeFailure
) -> None:
    stage.world.fail("networks.create", error, times=100)
    net = builders.network_config()
    bad = builders.config("bad", networks=(container.NetworkAttachment("shop"),))
    needy = needing(container.DependencyCondition.HEALTHY, "bad")
    desired = dataclasses.replace(conftest.declare(DB, bad, needy), networks=(net,))
    begun = asyncio.get_running_loop().time()
    found = await converge(stage, desired)
    assert asyncio.get_running_loop().time() - begun < 5
    assert found.outcome is once.Outcome.PARTIAL
    assert [str(one.key) for one in found.unfinished] == ["Container/bad", "Container/web", "Network/shop"]
    assert not found.timed_out
    assert stage.states() == {"db": "running", "web": "created"}


@virtual
async def test_converge_once__nothing_works__is_failed(stage: conftest.Stage) -> None:
    stage.world.fail("images.ensure", errors.Unavailable("no route", reason="ImagePullFailed"), times=100)
    found = await converge(stage, conftest.declare(DB))
    assert found.outcome is once.Outcome.FAILED
    assert [str(one.key) for one in found.unfinished] == ["Container/db", f"Image/{builders.IMAGE}"]


@virtual
async def test_converge_once__dependency_has_to_become_healthy__waits(stage: conftest.Stage) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 7.0, 1.0, 1.0, 1, 3)
    db = dataclasses.replace(DB, health=health.HealthConfig(None, probe, None))
    found = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.HEALTHY)))
    assert found.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "running", "web": "running"}


@virtual
async def test_converge_once__dependency_has_to_complete__waits(stage: conftest.Stage) -> None:
    db = dataclasses.replace(DB, restart=dataclasses.replace(DB.restart, policy=container.RestartPolicy.ON_FAILURE))
    asyncio.get_running_loop().call_later(20.0, lambda: stage.world.end("db", 0))
    found = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.COMPLETED)))
    assert found.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "exited", "web": "running"}


@virtual
async def test_converge_once__dependency_has_failed_for_good__does_not_wait(stage: conftest.Stage) -> None:
    db = dataclasses.replace(DB, restart=dataclasses.replace(DB.restart, policy=container.RestartPolicy.NEVER))
    asyncio.get_running_loop().call_later(2.0, lambda: stage.world.end("db", 1))
    found = await converge(stage, conftest.declare(db, needing(container.DependencyCondition.COMPLETED)), deadline=900)
    assert not found.timed_out
    assert found.outcome is once.Outcome.PARTIAL


@virtual
async def test_converge_once__takes_too_long__comes_back_with_what_it_has(stage: conftest.Stage) -> None:
    stage.world.delay("containers.start", 1000.0)
    found = await converge(stage, conftest.declare(DB), deadline=30.0)
    assert found.timed_out
    assert found.outcome is once.Outcome.PARTIAL
    assert [str(one.key) for one in found.unfinished] == ["Container/db"]


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
    found = await converge(stage, conftest.declare(DB), deadline=5.0)
    assert (found.outcome, found.timed_out) == (once.Outcome.FAILED, True)


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
    found = await once.apply(stage.parts, script)
    assert found.outcome is once.Outcome.APPLIED
    good = stage.parts.book.good()
    assert good is not None
    assert good.desired.revision == found.revision
    (revision,) = stage.parts.book.history.revisions()
    assert revision.applied_at is not None
    assert [one.revision for one in stage.of(signals.RevisionApplied)] == [found.revision]


async def test_apply__manifests_have_problems__changes_nothing(stage: conftest.Stage, script: conftest.Script) -> None:
    script.write("web.yaml", MANIFEST)
    await once.apply(stage.parts, script)
    script.write("bad.yaml", "kind: [")
    with pytest.raises(intake.BadManifests, match="1 problem") as caught:
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
    assert [one.name for one in good.desired.containers] == ["web"]


async def test_apply__source_is_empty__says_so(stage: conftest.Stage, script: conftest.Script) -> None:
    found = await once.apply(stage.parts, script)
    assert (found.outcome, found.declares_nothing) == (once.Outcome.APPLIED, True)
    script.write("web.yaml", MANIFEST)
    assert not (await once.apply(stage.parts, script)).declares_nothing


@virtual
async def test_delete__some_of_what_is_there__leaves_the_rest_alone(stage: conftest.Stage) -> None:
    gone = builders.volume_config("gone", volume.DeletionPolicy.DELETE)
    kept = builders.volume_config("kept")
    web = builders.config("web")
    everything = dataclasses.replace(conftest.declare(DB, web), volumes=(gone, kept))
    await converge(stage, everything)
    foreign = dataclasses.replace(stage.world.find("db"), id="foreign", name="foreign", labels=())
    stage.world.containers["foreign"] = foreign
    stage.parts.book.accept(journal.Good(everything, "script", 1.0))

    declared = dataclasses.replace(conftest.declare(web), volumes=(gone, kept))
    found = await once.delete(stage.parts, declared)

    assert found.outcome is once.Outcome.APPLIED
    assert stage.states() == {"db": "running", "foreign": "running"}
    assert set(stage.world.volumes) == {"kept"}
    assert set(stage.world.images) == {builders.IMAGE}
    good = stage.parts.book.good()
    assert good is not None
    assert [one.name for one in good.desired.containers] == ["db"]
    assert [str(one.key) for one in stage.parts.book.statuses()] == [
        *("Container/db", f"Image/{builders.IMAGE}", "Volume/kept"),
    ]
    assert {str(one.key): one.detail for one in found.statuses} == {"Volume/kept": "retained"}


@virtual
async def test_delete__nothing_of_it_is_there__is_done(stage: conftest.Stage) -> None:
    found = await once.delete(stage.parts, conftest.declare(DB))
    assert (found.outcome, found.statuses) == (once.Outcome.APPLIED, ())


@virtual
async def test_delete__it_cannot_be_removed__is_told(stage: conftest.Stage) -> None:
    await converge(stage, conftest.declare(DB))
    stage.world.fail("containers.remove", errors.Unavailable("busy"), times=100)
    found = await once.delete(stage.parts, conftest.declare(DB))
    assert found.outcome is once.Outcome.FAILED
    assert [str(one.key) for one in found.unfinished] == ["Container/db", f"Image/{builders.IMAGE}"]
