"""What a runtime does with containers: the specification of ``runtime.api.Containers``."""

import asyncio
import dataclasses
import pathlib

import pytest

from agent.model import container, policy
from agent.runtime import api, errors
from tests import builders

STOP_NOW = container.StopConfig("SIGKILL", 5.0)
RUNNING = container.ContainerState.RUNNING
EXITED = container.ContainerState.EXITED
CREATED = container.ContainerState.CREATED


def every_field(folder: pathlib.Path) -> dict[str, object]:
    """Give, for each field, another value than the default."""
    probe = builders.health.Probe(builders.health.ExecProbe(("/bin/true",)), 1.0, 2.0, 3.0, 4, 5)
    return {
        "labels": (("app", "shop"),),
        "command": ("/bin/sh", "-c"),
        "args": ("sleep 9",),
        "env": (("A", "1"), ("B", "two words")),
        "working_dir": "/tmp",
        "hostname": "other",
        "ports": (container.PortMapping(18080, 80, container.TransportProtocol.TCP, "127.0.0.1"),),
        "network_mode": container.NetworkMode.NONE,
        "mounts": (
            container.VolumeMount("data", "/data", read_only=True),
            container.BindMount(str(folder), "/host", read_only=False),
            container.TmpfsMount("/scratch", 1024 * 1024),
        ),
        "restart": container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 2.0, 3.0)),
        "health": builders.health.HealthConfig(probe, probe, probe),
        "resources": container.Resources(500, 64 << 20, 32 << 20, 50),
        "security": container.Security(
            "1:1", ("NET_ADMIN",), ("ALL",), True, False, container.SeccompProfile.UNCONFINED
        ),
        "stop": container.StopConfig("SIGINT", 1.5),
        "depends_on": (container.Dependency("db", container.DependencyCondition.HEALTHY),),
    }


async def test_created__is_observed_as_it_was_asked_for(harness, tmp_path) -> None:
    await harness.runtime.volumes.create(builders.volume_config(), ())
    for field, value in every_field(tmp_path).items():
        config = dataclasses.replace(harness.config(field.replace("_", "-")), **{field: value})
        found = await harness.seen(await harness.made(config))
        assert found.config == config, field
        assert (found.state, found.started_at, found.exit_code) == (CREATED, None, None)


async def test_created__labels_come_back(harness) -> None:
    config = harness.config(labels=(("app", "shop"),))
    found = await harness.seen(await harness.made(config))
    assert found.labels == tuple(sorted((*config.labels, *builders.labels_for(config))))


async def test_create__name_taken__already_exists(harness) -> None:
    await harness.made(harness.config())
    with pytest.raises(errors.AlreadyExists):
        await harness.made(harness.config())


async def test_create__no_such_image__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.made(builders.config("x"))


async def test_create__no_such_volume__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.made(harness.config(mounts=(container.VolumeMount("missing", "/x", read_only=False),)))


async def test_start__runs(harness) -> None:
    found = await harness.seen(await harness.running(harness.config()))
    assert found.state is RUNNING
    assert found.pid is not None
    assert found.started_at is not None
    assert found.finished_at is None


async def test_start__running_already__does_nothing(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.seen(identity)
    await harness.runtime.containers.start("web")
    assert await harness.seen(identity) == before


async def test_start__unknown__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.runtime.containers.start("nobody")


@pytest.mark.parametrize("code", [0, 3])
async def test_ended__its_code_is_seen(harness, code: int) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", f"exit {code}")))
    found = await harness.ended(identity, code)
    assert (found.exit_code, found.stop_requested, found.oom_killed) == (code, False, False)
    assert found.finished_at is not None
    assert found.pid is None


async def test_ended__starts_again(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "exit 1")))
    await harness.ended(identity, 1)
    await harness.runtime.containers.start(identity)
    found = await harness.ended(identity, 1)
    assert found.exit_code == 1


async def test_killed_for_memory__is_seen_as_such(harness) -> None:
    eat = "x=a; while true; do x=$x$x; done"
    limits = container.Resources(None, 16 << 20, None, None)
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", eat), resources=limits))
    found = await harness.ended(identity, 137, oom_killed=True)
    assert (found.exit_code, found.oom_killed) == (137, harness.tells_oom)


async def test_stop__asked_to_end__ends_and_says_so(harness) -> None:
    waits = ("/bin/sh", "-c", "trap 'exit 143' TERM; while true; do sleep 0.1; done")
    identity = await harness.running(harness.config(command=waits))
    await asyncio.sleep(0.2 if harness.name == "native" else 0)  # until the trap is set
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 5.0))
    found = await harness.seen(identity)
    assert (found.state, found.exit_code, found.stop_requested) == (EXITED, 143, True)


async def test_stop__deaf_to_its_signal__is_killed_after_the_grace_period(harness) -> None:
    identity = await harness.running(harness.config())  # the first process of a namespace ignores SIGTERM by default
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 0.1))
    assert (await harness.seen(identity)).state is EXITED


async def test_stop__not_running__does_nothing(harness) -> None:
    identity = await harness.made(harness.config())
    await harness.runtime.containers.stop(identity, STOP_NOW)
    assert (await harness.seen(identity)).state is CREATED


async def test_kill__sends_the_signal(harness) -> None:
    identity = await harness.running(harness.config())
    await harness.runtime.containers.kill(identity, "SIGKILL")
    found = await harness.until(identity, lambda one: one.state is EXITED)
    assert (found.exit_code, found.stop_requested) == (137, False)


async def test_kill__not_running__conflict(harness) -> None:
    identity = await harness.made(harness.config())
    with pytest.raises(errors.Conflict) as caught:
        await harness.runtime.containers.kill(identity, "SIGTERM")
    assert caught.value.reason == "NotRunning"


async def test_remove__running__is_gone(harness) -> None:
    identity = await harness.running(harness.config())
    await harness.runtime.containers.remove(identity)
    assert await harness.runtime.containers.list() == ()
    with pytest.raises(errors.NotFound):
        await harness.runtime.containers.remove(identity)


async def test_rename__is_found_by_its_new_name_only(harness) -> None:
    identity = await harness.running(harness.config())
    await harness.runtime.containers.rename("web", "shop")
    assert (await harness.seen(identity)).name == "shop"
    await harness.runtime.containers.stop("shop", STOP_NOW)
    with pytest.raises(errors.NotFound):
        await harness.runtime.containers.start("web")


async def test_rename__name_taken__already_exists(harness) -> None:
    await harness.made(harness.config("other"))
    identity = await harness.made(harness.config())
    with pytest.raises(errors.AlreadyExists):
        await harness.runtime.containers.rename(identity, "other")
    assert (await harness.seen(identity)).name == "web"


async def test_update__running__changes_without_a_restart(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.seen(identity)
    limits = container.Resources(250, 32 << 20, None, 20)
    if not harness.can(policy.InPlace.RESOURCES):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.update(identity, api.ContainerChange(resources=limits))
        return
    await harness.runtime.containers.update(identity, api.ContainerChange(resources=limits))
    found = await harness.seen(identity)
    assert found.config == dataclasses.replace(before.config, resources=limits)
    assert (found.pid, found.started_at) == (before.pid, before.started_at)
    assert (await harness.runtime.containers.stats())[identity].memory_limit == 32 << 20


async def test_update__labels__are_changed_and_ownership_stays(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.seen(identity)
    change = api.ContainerChange(labels=(("app", "new"),))
    if not harness.can(policy.InPlace.LABELS):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.update(identity, change)
        return
    await harness.runtime.containers.update(identity, change)
    found = await harness.seen(identity)
    assert found.config == dataclasses.replace(before.config, labels=(("app", "new"),))
    assert set(builders.labels_for(before.config)) <= set(found.labels)
    assert (found.pid, found.started_at) == (before.pid, before.started_at)


async def test_update__limits_lifted__are_gone(harness) -> None:
    limited = container.Resources(250, 32 << 20, None, 20)
    identity = await harness.running(harness.config(resources=limited))
    free = container.Resources(None, None, None, None)
    if not harness.can(policy.InPlace.RESOURCES):
        return
    if not harness.can(policy.InPlace.MEMORY_LIFTED):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.update(identity, api.ContainerChange(resources=free))
        free = dataclasses.replace(free, memory=limited.memory)
    await harness.runtime.containers.update(identity, api.ContainerChange(resources=free))
    assert (await harness.seen(identity)).config.resources == free


async def test_exec__gives_output_and_code(harness) -> None:
    harness.program("/bin/sh", 7, b"hello\n")
    identity = await harness.running(harness.config())
    request = api.ExecRequest(("/bin/sh", "-c", "echo hello; exit 7"))
    async with harness.runtime.containers.exec(identity, request) as session:
        output = b"".join([chunk async for _, chunk in session.output()])
        assert (output, await session.wait()) == (b"hello\n", 7)


async def test_exec__not_running__conflict(harness) -> None:
    identity = await harness.made(harness.config())
    with pytest.raises(errors.Conflict):
        async with harness.runtime.containers.exec(identity, api.ExecRequest(("/bin/true",))):
            pass


async def test_logs__lines_in_order(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "echo one; echo two; echo three")))
    harness.wrote(identity, "one", "two", "three")
    await harness.ended(identity, 0)
    lines = [line async for line in harness.runtime.containers.logs(identity, api.LogRequest())]
    assert [(line.stream, line.text) for line in lines] == [("stdout", one) for one in ("one", "two", "three")]
    assert [line.time for line in lines] == sorted(line.time for line in lines)


async def test_logs__tail_and_since(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "echo one; sleep 1.1; echo two")))
    harness.wrote(identity, "one")
    await asyncio.sleep(0.02)
    harness.wrote(identity, "two")
    await harness.ended(identity, 0)
    logs = harness.runtime.containers.logs
    every = [line async for line in logs(identity, api.LogRequest())]
    assert [line.text async for line in logs(identity, api.LogRequest(tail=1))] == ["two"]
    assert [line.text async for line in logs(identity, api.LogRequest(tail=0))] == []
    assert [line.text async for line in logs(identity, api.LogRequest(since=every[1].time))] == ["two"]


async def test_logs__followed__ends_with_the_container(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "sleep 0.3; echo late")))

    async def act() -> None:
        await asyncio.sleep(0.1)
        harness.wrote(identity, "late")
        await harness.ended(identity, 0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(act())
        lines = [line.text async for line in harness.runtime.containers.logs(identity, api.LogRequest(follow=True))]
    assert lines == ["late"]


async def test_stats__of_what_runs(harness) -> None:
    identity = await harness.running(harness.config())
    idle = await harness.made(harness.config("idle"))
    found = await harness.runtime.containers.stats()
    assert idle not in found
    assert found[identity].memory_working_set > 0
    assert found[identity].pids >= 1


async def test_events__tell_what_happens(harness) -> None:
    stream = harness.runtime.events.subscribe()
    identity = await harness.running(harness.config())
    await harness.runtime.containers.stop(identity, STOP_NOW)
    await harness.runtime.containers.remove(identity)
    actions = []
    async with asyncio.timeout(10):
        async for event in stream:
            actions.append(event.action.value)
            if event.action.value == "removed":
                break
    await stream.aclose()
    assert actions == ["created", "started", "exited", "removed"]


async def test_start__cancelled__leaves_nothing_half_made(harness) -> None:
    identity = await harness.made(harness.config())
    task = asyncio.ensure_future(harness.runtime.containers.start(identity))  # noqa: TID251 - to be cancelled
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await harness.seen(identity)).state in {CREATED, RUNNING}
    await harness.runtime.containers.start(identity)
    assert (await harness.seen(identity)).state is RUNNING
