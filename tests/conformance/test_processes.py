"""What a runtime tells of containers' processes and ends: the specification of ``runtime.processes``."""

import asyncio
import dataclasses
import json
import pathlib

import pytest

from agent import errors
from agent.model import container, secret
from agent.reasons import Reason
from tests.conformance.test_secrets import VALUE, config

UNKNOWN = ("top", "wait", "inspect")


@pytest.mark.parametrize("call", UNKNOWN)
async def test_absent__not_found(harness, call: str) -> None:
    with pytest.raises(errors.NotFound):
        await getattr(harness.runtime.containers, call)("nobody")


@pytest.mark.parametrize("call", ["top", "wait"])
async def test_never_run__conflict(harness, call: str) -> None:
    identity = await harness.create(harness.config())
    with pytest.raises(errors.Conflict) as caught:
        await getattr(harness.runtime.containers, call)(identity)
    assert caught.value.reason is Reason.NOT_RUNNING


async def test_top__ended__conflict(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "exit 0")))
    await harness.ended(identity, 0)
    with pytest.raises(errors.Conflict) as caught:
        await harness.runtime.containers.top(identity)
    assert caught.value.reason is Reason.NOT_RUNNING


async def test_top__what_runs__with_pids_parents_users_and_words_as_the_host_has_them(harness) -> None:
    script = "sleep 1001 & sleep 1002 & wait"
    security = dataclasses.replace(harness.config().security, user="1234:1234")
    declared = harness.config(command=("/bin/sh", "-c", script), security=security)
    identity = await harness.running(declared)
    begun = set() if harness.world else {"sleep 1001", "sleep 1002"}
    listed = await harness.runtime.containers.top("web")
    async with asyncio.timeout(10):
        while not begun <= {process.command for process in listed}:  # a child has its parent's words for a moment
            await asyncio.sleep(0.01)
            listed = await harness.runtime.containers.top("web")
    first = (await harness.observe(identity)).pid
    assert [process.pid for process in listed] == sorted(process.pid for process in listed)
    assert {process.pid: process.command for process in listed}[first] == f"/bin/sh -c {script}"
    assert {process.pid: process.parent for process in listed}[first] == 0
    assert all(process.rss > 0 and process.cpu_seconds >= 0 for process in listed)
    if harness.world is None:
        children = {process.command: process.parent for process in listed if process.pid != first}
        assert children == {"sleep 1001": first, "sleep 1002": first}
        assert {process.uid for process in listed} == {1234}
        for process in listed:
            words = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert words.rstrip(b"\0").replace(b"\0", b" ").decode() == process.command


async def test_top__of_one_among_several__has_none_of_the_others(harness) -> None:
    await harness.running(harness.config("other", command=("/bin/sleep", "2001")))
    await harness.running(harness.config(command=("/bin/sleep", "2002")))
    words: list[str] = []
    async with asyncio.timeout(10):
        while words != ["/bin/sleep 2002"]:  # for a moment it has the words of the OCI runtime that starts it
            await asyncio.sleep(0.01)
            words = [process.command for process in await harness.runtime.containers.top("web")]
            assert not any("2001" in command for command in words)


@pytest.mark.parametrize("code", [0, 3])
async def test_wait__ended__answers_at_once(harness, code: int) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", f"exit {code}")))
    await harness.ended(identity, code)
    async with asyncio.timeout(5):
        assert await harness.runtime.containers.wait("web") == code


async def test_wait__running__answers_when_it_has_ended(harness) -> None:
    identity = await harness.running(harness.config())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = [group.create_task(harness.runtime.containers.wait(ref)) for ref in ("web", identity)]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waiting)
        await harness.runtime.containers.kill(identity, "SIGKILL")
    assert [task.result() for task in waiting] == [137, 137]


async def test_wait__cancelled__the_container_runs_on_and_others_wait_on(harness) -> None:
    identity = await harness.running(harness.config())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        given_up, waiting = (group.create_task(harness.runtime.containers.wait("web")) for _ in range(2))
        await asyncio.sleep(0.2)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert (await harness.observe(identity)).state is container.ContainerState.RUNNING
        assert not waiting.done()
        await harness.runtime.containers.kill(identity, "SIGKILL")
    assert waiting.result() == 137


async def test_wait__started_again_meanwhile__the_run_that_was_there_counts(harness) -> None:
    ends = ("/bin/sh", "-c", "test -e /again && exec sleep 1000; touch /again; sleep 0.5; exit 7")
    identity = await harness.running(harness.config(command=ends))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiting = group.create_task(harness.runtime.containers.wait(identity))
        await asyncio.sleep(0.1)
        await harness.ended(identity, 7)
        await harness.runtime.containers.start(identity)
        assert await waiting == 7
    assert (await harness.observe(identity)).state is container.ContainerState.RUNNING


async def test_wait__removed_meanwhile__its_code_or_that_it_is_gone(harness) -> None:
    identity = await harness.running(harness.config())

    async def wait() -> int | type[errors.Failure] | None:
        try:
            return await harness.runtime.containers.wait(identity)
        except errors.NotFound as error:
            return type(error)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiting = group.create_task(wait())
        await asyncio.sleep(0.2)
        await harness.runtime.containers.remove(identity)
    assert waiting.result() in {137, errors.NotFound}


async def test_inspect__is_an_object_of_json_about_it(harness) -> None:
    for identity in (await harness.create(harness.config("idle")), await harness.running(harness.config())):
        document = await harness.runtime.containers.inspect(identity)
        assert isinstance(json.loads(json.dumps(document)), dict)
        assert identity in json.dumps(document)


async def test_inspect__values_of_secrets__are_hidden_and_others_are_not(harness) -> None:
    harness.runtime.containers.use((VALUE,))
    await harness.running(config(harness))
    text = json.dumps(await harness.runtime.containers.inspect("web"))
    assert "s3cr3t" not in text
    assert "PASSWORD" in text
    if harness.world is None:
        assert f"PASSWORD={secret.HIDDEN}" in text
        assert "A=1" in text
