"""Registries that move on, over the memory runtime and in virtual time."""

import dataclasses

import pytest

from agent import errors
from agent.converge import once, signals
from agent.model import image, state
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime

OLD, NEW, NEWER = ("sha256:" + digit * 64 for digit in "012")
V1, V2 = "docker.io/library/app:1.0.0", "docker.io/library/app:1.1.0"


def declared(*follows: image.UpdatePolicy) -> state.DesiredState:
    return dataclasses.replace(conftest.declare(builders.config("web")), follows=follows)


def ids(stage: conftest.Stage) -> set[str]:
    return {container.image_id for container in stage.world.containers.values() if container.state.value == "running"}


def asked(stage: conftest.Stage) -> int:
    return sum(operation == "images.digest" for operation, _ in stage.world.calls)


async def test_update__tag_moves__containers_are_replaced_once_and_the_rest_is_rest(stage, until) -> None:
    stage.world.published[builders.IMAGE] = OLD
    desired = declared(builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=60.0))
    async with stage.going(lambda: desired):
        await until(lambda: stage.states() == {"web": "running"})
        before = ids(stage)
        stage.world.published[builders.IMAGE] = NEW
        await until(lambda: ids(stage) and ids(stage) != before, patience=80)
        await until(lambda: stage.of(signals.PassFinished)[-1].converged)
    assert stage.world.images[builders.IMAGE].digests == (NEW,)
    assert stage.actions().count("RemoveContainer web") == 1
    assert stage.parts.book.ledger()[-1].newest is not None
    assert 2 <= asked(stage) <= 3, "once at the start, and once an interval"


async def test_update__newer_version_in_the_range__is_taken_and_others_are_not(stage, until) -> None:
    stage.world.published |= {V1: OLD, "docker.io/library/app:2.0.0": NEWER, "docker.io/library/other:1.9.0": NEWER}
    desired = declared(builders.follow("^1.0", policy=image.PullPolicy.IF_NOT_PRESENT, interval=30.0))
    async with stage.going(lambda: desired):
        await until(lambda: stage.states() == {"web": "running"})
        assert stage.world.images[builders.IMAGE].digests == (OLD,)
        stage.world.published[V2] = NEW
        await until(lambda: stage.world.images[builders.IMAGE].digests == (NEW,), patience=60)
    answer = next(entry.newest for entry in stage.parts.book.ledger() if entry.newest)
    assert (answer.reference, answer.digest) == (V2, NEW)


async def test_update__registry_fails__what_runs_goes_on_and_it_is_asked_again(stage, until) -> None:
    stage.world.published[builders.IMAGE] = OLD
    desired = declared(builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=600.0))
    async with stage.going(lambda: desired):
        await until(lambda: stage.states() == {"web": "running"})
        stage.world.published[builders.IMAGE] = NEW
        stage.world.fail("images.digest", errors.Unavailable("no route", reason="ImagePullFailed"), times=2)
        await until(
            lambda: [signal for signal in stage.of(signals.RegistryAnswered) if signal.answer.problem], patience=700
        )
        assert stage.states() == {"web": "running"}
        assert stage.conditions(f"Image/{builders.IMAGE}")["Ready"][0] == "True"
        await until(lambda: stage.world.images[builders.IMAGE].digests == (NEW,), patience=200)
    problems = [signal.answer.problem for signal in stage.of(signals.RegistryAnswered)]
    assert [bool(problem) for problem in problems] == [False, True, True, False]


async def test_update__range_without_a_version__waits_and_says_so(stage, until) -> None:
    desired = declared(builders.follow("^7", interval=30.0))
    async with stage.going(lambda: desired):
        await until(lambda: stage.of(signals.RegistryAnswered))
        await until(lambda: stage.conditions(f"Image/{builders.IMAGE}")["Ready"] == ("False", "ImageUnresolved"))
        assert "has no version in '^7'" in stage.of(signals.RegistryAnswered)[0].answer.problem
        stage.world.published["docker.io/library/app:7.0.1"] = NEW
        await until(lambda: stage.states() == {"web": "running"}, patience=80)


async def test_update__agent_comes_back__asks_when_the_interval_is_over_and_not_at_once(stage, until) -> None:
    desired = declared(builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=600.0))
    async with stage.going(lambda: desired):
        await until(lambda: asked(stage) == 1)
        await until(lambda: stage.states() == {"web": "running"})
    async with stage.going(lambda: desired):
        await until(lambda: stage.of(signals.PassFinished)[-1].converged, patience=300)
        assert asked(stage) == 1
        await until(lambda: asked(stage) == 2, patience=700)


async def test_always__agent_comes_back__asks_once_and_no_more(stage, until) -> None:
    stage.world.published[builders.IMAGE] = OLD
    desired = declared(builders.follow())
    async with stage.going(lambda: desired):
        await until(lambda: stage.states() == {"web": "running"})
        await until(lambda: asked(stage) == 1)
    stage.world.published[builders.IMAGE] = NEW
    async with stage.going(lambda: desired):
        await until(lambda: stage.world.images[builders.IMAGE].digests == (NEW,))
        await until(lambda: stage.of(signals.PassFinished)[-1].converged)
    assert asked(stage) == 2


async def test_follow__is_no_longer_declared__is_not_asked_any_more(stage, until) -> None:
    goal = [declared(builders.follow(interval=30.0))]
    async with stage.going(lambda: goal[0]) as going:
        await until(lambda: asked(stage) == 1)
        goal[0] = declared()
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.of(signals.PassFinished)[-1].triggers == (signals.Trigger.SOURCE,))
        count = asked(stage)
        await until(lambda: len(stage.of(signals.PassFinished)) > 5, patience=400)
        assert asked(stage) == count


@pytest.mark.parametrize("policy", [image.PullPolicy.ALWAYS, image.PullPolicy.IF_NOT_PRESENT])
async def test_apply__tag_has_moved__is_asked_for_before_anything_is_planned(stage, policy) -> None:
    stage.world.published[builders.IMAGE] = OLD
    source = conftest.Script({"a.yaml": APP.format(policy=policy.value)})
    assert (await once.apply(stage.parts, source)).outcome is once.Outcome.APPLIED
    before = ids(stage)
    stage.world.published[builders.IMAGE] = NEW
    assert (await once.apply(stage.parts, source)).outcome is once.Outcome.APPLIED
    assert (ids(stage) != before) is (policy is image.PullPolicy.ALWAYS)


APP = """
apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: app}}
spec: {{pull: {{reference: 'app:1', policy: {policy}}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: {{name: app}}}}
"""
