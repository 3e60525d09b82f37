"""Passes over the memory runtime, in virtual time: what the loop does about everything that can happen."""

import asyncio
import dataclasses
import itertools

import pytest

from agent import errors
from agent.converge import cycle, signals
from agent.converge import goal as goals
from agent.model import container, health, image, ledger
from agent.model import network as networks
from agent.model.key import Kind, ObjectKey, Pairs
from agent.runtime import api, events
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime

WEB = ObjectKey(Kind.CONTAINER, "web")


def converged(stage: conftest.Stage) -> bool:
    passes = stage.of(signals.PassFinished)
    return bool(passes) and passes[-1].converged


async def test_cycle__nothing_there__brings_about_what_is_declared(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage))
    assert stage.states() == {"web": "running"}
    assert stage.actions() == ["EnsureImage docker.io/library/app:1", "CreateContainer web", "StartContainer web"]
    assert stage.conditions("Container/web")["Ready"] == ("True", "Running")
    assert {str(entry.key): bool(entry.applied_hash) for entry in stage.parts.book.ledger()} == {
        "Container/web": True,
        "Image/docker.io/library/app:1": True,
    }


async def test_cycle__all_is_well__only_relists_make_passes(stage: conftest.Stage, until: conftest.Until) -> None:
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage))
        await asyncio.sleep(5)
        before = len(stage.of(signals.PassFinished))
        await asyncio.sleep(600)
        later = stage.of(signals.PassFinished)[before:]
    assert 9 <= len(later) <= 11
    assert {signal.triggers for signal in later} == {(signals.Trigger.RELIST,)}
    assert all(signal.plan.empty for signal in later)


async def test_cycle__own_actions__are_never_taken_for_drift(stage: conftest.Stage, until: conftest.Until) -> None:
    async with stage.going(lambda: conftest.declare(*(builders.config(f"c{number}") for number in range(20)))):
        await until(lambda: converged(stage))
    assert not any(signal.plan.drift for signal in stage.of(signals.PassFinished))
    starts = [text for text in stage.actions() if text.startswith("StartContainer")]
    assert len(starts) == len(set(starts)) == 20


async def test_cycle__many_containers__need_few_passes(stage: conftest.Stage, until: conftest.Until) -> None:
    stage.world.delay("containers.start", 0.02)
    async with stage.going(lambda: conftest.declare(*(builders.config(f"c{number}") for number in range(50)))):
        await until(lambda: converged(stage))
        assert len(stage.of(signals.PassFinished)) < 15


async def test_cycle__slow_pull_of_one__delays_nobody_else(stage: conftest.Stage, until: conftest.Until) -> None:
    slow = [builders.config(f"slow{number}", image=f"slow.example/{number}:1") for number in range(10)]
    real = stage.parts.runtime.images.ensure

    async def ensure(
        config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        if config.reference.startswith("slow."):
            await asyncio.sleep(30)
        return await real(config, labels, progress, pinned)

    images = _Replaced(stage.parts.runtime.images, ensure=ensure)
    stage.parts = dataclasses.replace(stage.parts, runtime=dataclasses.replace(stage.parts.runtime, images=images))
    stage.world.images["docker.io/library/app:1"] = await real(builders.image_config(), (), lambda _: None)
    async with stage.going(lambda: conftest.declare(builders.config("web"), *slow)):
        await until(lambda: stage.states() == {"web": "running"}, patience=1)
        await until(lambda: stage.conditions("Container/slow1")["Reconciling"][0] == "True")
        await until(lambda: len(stage.states()) == 11, patience=100)
    assert set(stage.states().values()) == {"running"}


async def test_cycle__action_fails__others_go_on_and_dependants_wait(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    start, refusals = stage.parts.runtime.containers.start, [errors.Conflict("port 80 is in use", reason="PortInUse")]

    async def refuse_once(ref: str) -> None:
        if stage.world.containers[ref].name == "bad" and refusals:
            raise refusals.pop()
        await start(ref)

    containers = _Replaced(stage.parts.runtime.containers, start=refuse_once)
    stage.parts = dataclasses.replace(
        stage.parts, runtime=dataclasses.replace(stage.parts.runtime, containers=containers)
    )
    needy = builders.config("needy", depends_on=(container.Dependency("bad", container.DependencyCondition.STARTED),))
    desired = conftest.declare(builders.config("bad"), needy, builders.config("good"))
    stage.world.delay("containers.create", 0.1)
    async with stage.going(lambda: desired):
        await until(lambda: stage.of(signals.ObjectDisposed))
        await until(lambda: stage.states().get("good") == "running")
        await until(lambda: stage.conditions("Container/bad")["Ready"] == ("False", "PortInUse"))
        assert stage.conditions("Container/bad")["Reconciling"][0] == "True"
        assert stage.conditions("Container/bad")["Stalled"][0] == "False"
        assert stage.conditions("Container/needy")["Ready"] == ("False", "WaitingForDependency")
        assert stage.states()["needy"] == "created"
        await until(lambda: converged(stage))
    assert set(stage.states().values()) == {"running"}


async def test_cycle__failing_again_and_again__backs_off(stage: conftest.Stage, until: conftest.Until) -> None:
    stage.world.fail("images.ensure", errors.Unavailable("no route", reason="ImagePullFailed"), times=6)
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage), patience=100)
    failed = [signal.at for signal in stage.of(signals.ActionFinished) if signal.result is signals.Result.FAILED]
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(failed)]
    assert gaps == [1, 2, 4, 8, 16]


async def test_cycle__starts_again_after_a_failure__is_ready_only_when_it_has_run_for_a_moment(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage))
        stage.world.end("web", 1)
        await until(lambda: stage.conditions("Container/web")["Ready"] == ("False", "Restarted"))
        begun = asyncio.get_running_loop().time()
        await until(lambda: stage.conditions("Container/web")["Ready"] == ("True", "Running"))
        assert 0.9 < asyncio.get_running_loop().time() - begun < 1.1
    assert signals.Trigger.TIMER in stage.of(signals.PassFinished)[-1].triggers


async def test_cycle__impossible__stalls_until_its_declaration_changes(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    stage.world.fail("containers.start", errors.InvalidArgument("no such program", reason="StartFailed"), times=2)
    desired = [conftest.declare(builders.config("web"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: stage.of(signals.ObjectDisposed))
        await until(lambda: stage.conditions("Container/web")["Stalled"] == ("True", "StartFailed"))
        assert stage.conditions("Container/web")["Reconciling"][0] == "False"
        await asyncio.sleep(100)
        assert len(stage.of(signals.ObjectDisposed)) == 1
        desired[0] = conftest.declare(builders.config("web", env=(("A", "1"),)), revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: len(stage.of(signals.ObjectDisposed)) == 2)
        assert stage.of(signals.ObjectDisposed)[-1].attempts == 1


async def test_cycle__container_dies__restarts_at_once_then_under_back_off(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage))
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(4):
            begun = loop.time()
            stage.world.end("web", 1)
            await until(lambda: stage.states() == {"web": "running"}, patience=30)
            took.append(round(loop.time() - begun))
    assert took == [0, 1, 2, 4]
    entry = stage.parts.book.entry(WEB)
    assert entry.streak == 4
    assert entry.restarts == (ledger.RestartCount(ledger.RestartReason.EXIT, 4),)
    assert not entry.restarting


async def test_cycle__unhealthy__is_known_as_restarting_before_it_is_stopped(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    entries = []
    real = stage.parts.runtime.containers.stop

    async def stop(ref: str, how: container.StopConfig) -> None:
        entries.append(stage.parts.book.entry(WEB))
        await real(ref, how)

    containers = _Replaced(stage.parts.runtime.containers, stop=stop)
    runtime = dataclasses.replace(stage.parts.runtime, containers=containers)
    stage.parts = dataclasses.replace(stage.parts, runtime=runtime)
    probe = health.Probe(health.ExecProbe(("check",)), 0.0, 1.0, 1.0, 1, 3)
    web = builders.config("web", health=health.HealthConfig(None, None, probe))
    answers = iter([0, 1, 1, 1])
    stage.world.program("check", lambda _: (next(answers, 0), b""))
    async with stage.going(lambda: conftest.declare(web)):
        await until(lambda: "StopContainer web" in stage.actions(), patience=30)
        await until(lambda: converged(stage) and stage.states() == {"web": "running"}, patience=30)
    assert [entry.restarting for entry in entries] == [True]
    assert entries[0].restarts == (ledger.RestartCount(ledger.RestartReason.UNHEALTHY, 1),)
    assert stage.parts.book.entry(WEB) == dataclasses.replace(entries[0], restarting=False, streak=1)


async def test_cycle__healthy_dependency__is_waited_for(stage: conftest.Stage, until: conftest.Until) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 3.0, 1.0, 1.0, 1, 3)
    db = builders.config("db", health=health.HealthConfig(None, probe, None))
    web = builders.config("web", depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    async with stage.going(lambda: conftest.declare(db, web)):
        await until(lambda: stage.states() == {"db": "running", "web": "created"})
        assert stage.conditions("Container/db")["Ready"][0] == "False"
        await asyncio.sleep(2)
        assert stage.states()["web"] == "created"
        await until(lambda: converged(stage))
    assert stage.conditions("Container/db")["Ready"] == ("True", "Healthy")


async def test_cycle__probes_that_find_nothing_wrong__are_known_at_once(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 50.0, 50.0, 1.0, 1, 3)
    db = builders.config("db", health=health.HealthConfig(None, None, probe))
    web = builders.config("web", depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    async with stage.going(lambda: conftest.declare(db, web)):
        await until(lambda: set(stage.states().values()) == {"running"} and len(stage.states()) == 2, patience=2)
    assert stage.conditions("Container/db")["Ready"][0] == "True"


async def test_cycle__container_of_that_name_is_somebody_elses__is_neither_probed_nor_touched(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 0.0, 1.0, 1.0, 1, 3)
    web = builders.config("web", health=health.HealthConfig(None, None, probe))
    foreign = builders.observed(web, labels=builders.labels_for(web, owner="somebody else"))
    stage.world.containers[foreign.id] = foreign
    async with stage.going(lambda: conftest.declare(web)):
        await until(lambda: stage.of(signals.PassFinished))
        await asyncio.sleep(10)
        assert stage.conditions("Container/web")["Ready"] == ("False", "Foreign")
    assert stage.of(signals.ProbeFinished) == []
    assert stage.world.containers == {foreign.id: foreign}


async def test_cycle__declaration_changes_while_fetching__drops_the_fetch(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    stage.world.delay("images.ensure", 1000)
    desired = [conftest.declare(builders.config("web", image="wrong.example/web:1"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: ("images.ensure", "wrong.example/web:1") in stage.world.calls)
        stage.world.delay("images.ensure", 0)
        desired[0] = conftest.declare(builders.config("web"), revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"}, patience=2)
    superseded = [signal for signal in stage.of(signals.ActionFinished) if signal.result is signals.Result.SUPERSEDED]
    assert {type(signal.action).__name__ for signal in superseded} == {
        "EnsureImage",
        "CreateContainer",
        "StartContainer",
    }


async def test_cycle__object_leaves__it_and_what_is_remembered_of_it_go(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    desired = [conftest.declare(builders.config("web"), builders.config("old"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: converged(stage))
        desired[0] = conftest.declare(builders.config("web"), revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"} and converged(stage))
        await asyncio.sleep(1)
    assert [str(entry.key) for entry in stage.parts.book.ledger()] == [
        "Container/web",
        "Image/docker.io/library/app:1",
    ]
    assert [str(status.key) for status in stage.parts.book.statuses()] == [
        "Container/web",
        "Image/docker.io/library/app:1",
    ]


async def test_cycle__desired_is_empty__keeps_everything_and_says_so(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    desired = [conftest.declare(builders.config("web"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: converged(stage))
        desired[0] = conftest.declare(revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.of(signals.PassFinished)[-1].desired.revision == "r2")
    assert stage.states() == {"web": "running"}
    assert stage.conditions("Container/web")["Ready"] == ("Unknown", "SourceEmpty")


async def test_cycle__runtime_cannot_be_observed__tries_again_slower_and_slower(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    real = stage.parts.runtime.networks
    down = [True]

    async def listed() -> tuple[networks.ObservedNetwork, ...]:
        if down[0]:
            raise errors.Unavailable("no engine")
        return await real.list()

    runtime = dataclasses.replace(stage.parts.runtime, networks=_Replaced(real, list=listed))
    stage.parts = dataclasses.replace(stage.parts, runtime=runtime)
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await asyncio.sleep(20)
        assert 4 <= len(stage.of(signals.PassFailed)) <= 6
        down[0] = False
        await until(lambda: stage.states() == {"web": "running"}, patience=61)


async def test_cycle__event_stream_is_lost__is_told_and_taken_up_again(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: converged(stage))
        stage.world.close()
        await until(lambda: [signal.connected for signal in stage.of(signals.EventStream)] == [True, False, True])
        stage.world.end("web", 1)
        await until(lambda: stage.states() == {"web": "running"}, patience=1)
    assert [event.event.action for event in stage.of(signals.RuntimeEvent)].count(events.EventAction.EXITED) == 1


async def test_cycle__network_is_taken_away__comes_back(stage: conftest.Stage, until: conftest.Until) -> None:
    net = networks.NetworkConfig("shop", networks.NetworkDriver.BRIDGE, (), (), False, True, None)
    web = builders.config("web", networks=(container.NetworkAttachment("shop"),))
    desired = conftest.declare(web).with_objects({Kind.NETWORK: (net,)})
    async with stage.going(lambda: desired):
        await until(lambda: converged(stage))
        del stage.world.networks["shop"]
        stage.world.emit(Kind.NETWORK, "x", "shop", events.EventAction.REMOVED)
        await until(lambda: "shop" in stage.world.networks, patience=2)
        await until(lambda: converged(stage))
    assert any(signal.plan.drift for signal in stage.of(signals.PassFinished))


async def test_cycle__left_while_working__writes_nothing_more_down(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    stage.world.delay("images.ensure", 1000)
    async with cycle.Cycle(
        stage.parts, lambda: goals.Goal.everything(conftest.declare(builders.config("web")))
    ) as going:
        await going.run_pass()
        await until(lambda: stage.world.calls)
    assert stage.of(signals.ActionFinished) == []


async def test_cycle__left_and_a_task_fails_while_it_ends__is_told_and_does_not_begin_again(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    begun: list[str] = []

    async def failing_at_its_end() -> None:
        begun.append("once")
        try:
            await asyncio.sleep(1000)
        finally:
            raise RuntimeError("what it held cannot be let go")

    async with stage.going(conftest.declare) as going:
        going.keep("fragile", failing_at_its_end)
        await until(lambda: begun)
    assert begun == ["once"]
    assert [signal.name for signal in stage.of(signals.TaskFailed)] == ["fragile"]


async def test_cycle__an_image_is_not_declared_any_more__what_broken_pulls_have_left_of_it_is_let_go(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    forgotten: list[str] = []

    async def forget(reference: str) -> None:
        forgotten.append(reference)

    images = _Replaced(stage.parts.runtime.images, forget=forget)
    stage.parts = dataclasses.replace(stage.parts, runtime=dataclasses.replace(stage.parts.runtime, images=images))
    desired = [conftest.declare(builders.config("web"), builders.config("api", image="docker.io/library/api:1"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: converged(stage))
        desired[0] = conftest.declare(builders.config("web"), revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: forgotten)
    assert forgotten == ["docker.io/library/api:1"]


class _Replaced:
    """A role of the runtime in which some calls are others."""

    def __init__(self, real: object, **calls: object) -> None:
        self.__dict__.update(calls)
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)
