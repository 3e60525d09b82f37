"""Declared logins: shown before anything is asked, and tried again as soon as they change."""

import dataclasses

import pytest

from agent.converge import once, signals
from agent.model import image, secret, state
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime

PLACE = "docker.io"
RIGHT = secret.Login(PLACE, "hub", "me", "s3cr3t")
WRONG = dataclasses.replace(RIGHT, password="wr0ng")


def declared(*logins: secret.Login, follows: tuple[image.UpdatePolicy, ...] = ()) -> state.DesiredState:
    return dataclasses.replace(conftest.declare(builders.config("web")), logins=logins, follows=follows)


async def test_login__is_wrong__stalls_and_another_one_is_tried_at_once(stage, until) -> None:
    stage.world.guarded[PLACE] = ("me", "s3cr3t")
    goal = [declared(WRONG)]
    async with stage.going(lambda: goal[0]) as going:
        await until(lambda: stage.of(signals.ObjectDisposed))
        assert stage.of(signals.ObjectDisposed)[0].hold.reason == "ImagePullDenied"
        assert stage.states() == {}
        goal[0] = declared(RIGHT)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"}, patience=2.0)


async def test_login__is_there_from_the_first_question_on(stage, until) -> None:
    stage.world.guarded[PLACE] = ("me", "s3cr3t")
    goal = declared(RIGHT, follows=(builders.follow(interval=60.0),))
    async with stage.going(lambda: goal):
        await until(lambda: stage.states() == {"web": "running"})
    assert [signal.answer.problem for signal in stage.of(signals.RegistryAnswered)] == [""]


SOURCE = """
apiVersion: trimtab.dev/v1
kind: Secret
metadata: {name: hub}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{"auths": {"docker.io": {"username": "me", "password": "s3cr3t"}}}'
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec: {image: app}
"""


async def test_apply__a_secret__opens_its_registry_and_is_in_no_signal(stage) -> None:
    stage.world.guarded[PLACE] = ("me", "s3cr3t")
    assert (await once.apply(stage.parts, conftest.Script({"a.yaml": SOURCE}))).outcome is once.Outcome.APPLIED
    assert stage.emitted
    assert "s3cr3t" not in repr(stage.emitted)
    good = stage.parts.book.good()
    assert good is not None
    assert good.desired.logins == (RIGHT,), "or an agent that starts without its source could not pull"
    assert stage.path.stat().st_mode & 0o777 == 0o600
