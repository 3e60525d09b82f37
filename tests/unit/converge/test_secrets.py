"""Values of Secrets: looked up as containers are made, written down nowhere, tried again when they come."""

import asyncio
import dataclasses

from agent.converge import intake, journal, once, reading, signals
from agent.manifests import pipeline
from agent.model import secret, state
from agent.sources import api
from tests import builders
from tests.unit.converge import conftest

KEY = b"k" * 32
SOURCE = """
apiVersion: trimtab.dev/v1
kind: Secret
metadata: {name: db}
stringData: {password: %s}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec: {image: app, networks: none, env: {PASSWORD: {secret: db, key: password}}}
"""


def declared(password: str) -> state.DesiredState:
    """Return a container that refers to a value."""
    fingerprint = secret.fingerprint(KEY, "db", "password", password.encode())
    value = secret.SecretValue("db", "password", fingerprint, password.encode())
    variable = secret.SecretVariable("PASSWORD", "db", "password", fingerprint)
    desired = conftest.declare(builders.config("web", secret_env=(variable,)))
    return dataclasses.replace(desired, secrets=(value,))


def environments(stage: conftest.Stage) -> list[str]:
    """Return the values that running containers have."""
    return [value for variables in stage.world.environments.values() for _, value in variables]


async def test_rotated__the_container_is_replaced_and_has_the_new_value(stage: conftest.Stage, until) -> None:
    goal = [declared("first")]
    async with stage.going(lambda: goal[0]) as going:
        await until(lambda: environments(stage) == ["first"])
        goal[0] = declared("second")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"} and environments(stage) == ["second"])
        assert sum("CreateContainer" in action for action in stage.actions()) == 2


async def test_unknown__the_container_waits_and_is_made_once_the_value_comes(stage: conftest.Stage, until) -> None:
    goal = [dataclasses.replace(declared("first"), secrets=())]
    async with stage.going(lambda: goal[0]) as going:
        await until(lambda: stage.of(signals.PassFinished))
        await until(lambda: stage.conditions("Container/web")["Ready"][1] == "SecretUnavailable")
        assert stage.states() == {}
        goal[0] = declared("first")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"})


async def test_apply__value__is_in_no_signal_and_in_no_file_of_the_root(stage: conftest.Stage) -> None:
    parts = dataclasses.replace(stage.parts, host_key=KEY)
    converged = await once.apply(parts, conftest.Script({"a.yaml": SOURCE % "s3cr3t"}))
    assert converged.outcome is once.Outcome.APPLIED
    assert environments(stage) == ["s3cr3t"]
    assert "s3cr3t" not in repr(stage.emitted)
    files = [path for path in stage.path.parent.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"s3cr3t" in path.read_bytes()] == []


async def test_journal__knows_the_reference_and_not_the_value(stage: conftest.Stage) -> None:
    desired = declared("s3cr3t")
    stage.parts.book.accept(journal.Good(desired, "script", 1.0))
    good = stage.parts.book.good()
    assert good is not None
    assert good.desired == dataclasses.replace(desired, secrets=())


async def test_intake__after_a_restart__values_are_known_once_the_source_is_read(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    parts = dataclasses.replace(stage.parts, host_key=KEY)
    script.write("a.yaml", SOURCE % "s3cr3t")
    around = intake.Surroundings(script, parts.book, parts.sink, parts.time, parts.parse_options)
    await intake.Intake(around, lambda: None).read()
    changes: list[int] = []
    restarted = intake.Intake(around, lambda: changes.append(1))
    assert (len(restarted.standing.containers), restarted.standing.secrets) == (1, ())
    await restarted.read()
    assert [value.value for value in restarted.standing.secrets] == [b"s3cr3t"]
    assert changes == [1]


async def test_reading__value__is_not_in_its_text() -> None:
    snapshot = api.SourceSnapshot("r1", (api.SourceFile("a.yaml", "/", (SOURCE % "s3cr3t").encode()),))
    options = pipeline.ParseOptions(host_key=KEY)
    understood = await asyncio.to_thread(reading.understand, snapshot, options)
    assert understood.desired.secrets
    assert "s3cr3t" not in repr(understood)
    assert KEY.decode() not in repr(options)
