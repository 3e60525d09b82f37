"""What a runtime does with values of Secrets: the program has them, and nothing that the runtime tells does."""

import dataclasses

import pytest

from agent import errors
from agent.model import container, secret
from agent.reasons import Reason
from agent.runtime import streams

VALUE = secret.SecretValue("db", "password", "f1", b"s3cr3t with = and 'quotes'")
VARIABLE = secret.SecretVariable("PASSWORD", "db", "password", "f1")
PRINT = ("/bin/sh", "-c", 'echo "$PASSWORD"; exec sleep 1000')


def config(harness, **fields: object) -> container.ContainerConfig:
    """Return a container that prints the value."""
    fields = {"env": (("A", "1"),), "secret_env": (VARIABLE,), "network_mode": container.NetworkMode.NONE} | fields
    return harness.config(command=PRINT, **fields)


async def first_line(harness, identity: str) -> str:
    """Return the first line that a container has written, once it has."""
    harness.wrote(identity, *(value for _, value in _simulated(harness, identity)))
    async for line in harness.runtime.containers.logs(identity, streams.LogRequest(follow=True)):
        return line.text
    raise AssertionError


def _simulated(harness, identity: str) -> tuple[tuple[str, str], ...]:
    return () if harness.world is None else harness.world.environments[identity]


async def test_secret_env__the_program_has_the_value__and_the_observation_only_the_reference(harness) -> None:
    harness.runtime.containers.use((VALUE,))
    declared = config(harness)
    identity = await harness.running(declared)
    assert await first_line(harness, identity) == VALUE.value.decode()
    observed = await harness.observe(identity)
    assert observed.config == declared
    assert "s3cr3t" not in repr(observed)


async def test_secret_env__exec__has_the_value_too(harness) -> None:
    harness.runtime.containers.use((VALUE,))
    identity = await harness.running(config(harness))
    harness.program("/bin/sh", 0, VALUE.value + b"\n")
    request = streams.ExecRequest(("/bin/sh", "-c", 'echo "$PASSWORD"'))
    async with harness.runtime.containers.exec(identity, request) as session:
        output = b"".join([chunk async for _, chunk in session.output()])
        assert await session.wait() == 0
    assert output == VALUE.value + b"\n"


async def test_secret_env__started_again__still_has_the_value(harness) -> None:
    harness.runtime.containers.use((VALUE,))
    identity = await harness.running(config(harness))
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 5.0))
    await harness.runtime.containers.start(identity)
    assert await first_line(harness, identity) == VALUE.value.decode()


@pytest.mark.parametrize("values", [(), (dataclasses.replace(VALUE, fingerprint="f2"),)])
async def test_secret_env__unknown_or_rotated__nothing_runs_and_the_reason_is_said(harness, values) -> None:
    harness.runtime.containers.use(values)
    with pytest.raises(errors.Unavailable) as caught:
        await harness.running(config(harness))
    assert caught.value.reason is Reason.SECRET_UNAVAILABLE
    assert "s3cr3t" not in str(caught.value)
    states = {observed.state for observed in await harness.runtime.containers.list()}
    assert container.ContainerState.RUNNING not in states


async def test_secret_env__value_is_forgotten_while_it_runs__whether_a_start_needs_it_is_a_feature(harness) -> None:
    harness.runtime.containers.use((VALUE,))
    identity = await harness.running(config(harness))
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 5.0))
    harness.runtime.containers.use(())
    if harness.runtime.features.secrets_at_start:
        with pytest.raises(errors.Unavailable):
            await harness.runtime.containers.start(identity)
    else:
        await harness.runtime.containers.start(identity)
    running = (await harness.observe(identity)).state is container.ContainerState.RUNNING
    assert running is not harness.runtime.features.secrets_at_start
