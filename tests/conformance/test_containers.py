"""What a runtime does with containers: the specification of ``runtime.api.Containers``."""

import asyncio
import dataclasses
import pathlib
from typing import Any

import pytest

from agent import errors
from agent.model import container, health, hostaccess, policy
from agent.runtime import api, streams
from tests import builders

STOP_NOW = container.StopConfig("SIGKILL", 5.0)
RUNNING = container.ContainerState.RUNNING
EXITED = container.ContainerState.EXITED
CREATED = container.ContainerState.CREATED


def every_field(folder: pathlib.Path) -> dict[str, object]:
    """Return, for each field, a value that is not the default."""
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
        observed = await harness.observe(await harness.create(config))
        assert observed.config == config, field
        assert (observed.state, observed.started_at, observed.exit_code) == (CREATED, None, None)


async def test_created__labels_come_back(harness) -> None:
    config = harness.config(labels=(("app", "shop"),))
    observed = await harness.observe(await harness.create(config))
    assert observed.labels == tuple(sorted((*config.labels, *builders.labels_for(config))))


async def test_create__name_taken__already_exists(harness) -> None:
    await harness.create(harness.config())
    with pytest.raises(errors.AlreadyExists):
        await harness.create(harness.config())


async def test_create__no_such_image__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.create(builders.config("x"))


async def test_create__no_such_volume__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.create(harness.config(mounts=(container.VolumeMount("missing", "/x", read_only=False),)))


@pytest.mark.parametrize("asked_for", [None, 4096, 100])
async def test_pids__whatever_is_asked_for__is_observed_so_and_changes_to_all_else(harness, asked_for) -> None:
    """4096 is what containers get that ask for nothing: it must not be taken for a change behind our back."""
    identity = await harness.running(harness.config(resources=container.Resources(None, None, None, asked_for)))
    assert (await harness.observe(identity)).config.resources.pids == asked_for
    if not harness.can(policy.InPlace.RESOURCES):
        return
    for other in (100, None, 4096, None, 4096, 101):
        change = api.ContainerChange(resources=container.Resources(None, None, None, other))
        await harness.runtime.containers.update(identity, change)
        assert (await harness.observe(identity)).config.resources.pids == other


async def test_low_ports_and_ping__are_for_every_user(harness) -> None:
    if harness.world is not None:
        pytest.skip("a simulation has no kernel")
    files = "ip_unprivileged_port_start ping_group_range"
    script = f"cd /proc/sys/net/ipv4; set -- $(cat {files}); exit $(($1 + $2 + ($3 < 65536)))"
    config = harness.config(command=("/bin/sh", "-c", script), network_mode=container.NetworkMode.NONE)
    ended = await harness.ended(await harness.running(config), 0)
    assert ended.exit_code == 0


async def test_bind__its_source_is_missing__is_unavailable_until_it_is_there(harness, tmp_path) -> None:
    if harness.world is not None:
        pytest.skip("a simulation has no files of a host")
    missing = tmp_path / "missing"
    config = harness.config(mounts=(container.BindMount(str(missing), "/x", read_only=True),))
    with pytest.raises(errors.Unavailable) as caught:
        await harness.running(config)
    assert caught.value.reason == "MountSourceMissing"
    assert not missing.exists()
    missing.mkdir()
    assert (await harness.observe(await harness.running(config))).state is RUNNING


async def test_bind__its_source_is_gone_at_the_next_start__is_unavailable(harness, tmp_path) -> None:
    if harness.world is not None:
        pytest.skip("a simulation has no files of a host")
    source = tmp_path / "source"
    source.mkdir()
    identity = await harness.create(harness.config(mounts=(container.BindMount(str(source), "/x", read_only=True),)))
    source.rmdir()
    with pytest.raises(errors.Unavailable) as caught:
        await harness.runtime.containers.start(identity)
    assert caught.value.reason == "MountSourceMissing"


async def test_start__runs(harness) -> None:
    observed = await harness.observe(await harness.running(harness.config()))
    assert observed.state is RUNNING
    assert observed.pid is not None
    assert observed.started_at is not None
    assert observed.finished_at is None


async def test_start__running_already__does_nothing(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.observe(identity)
    await harness.runtime.containers.start("web")
    assert await harness.observe(identity) == before


async def test_start__unknown__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.runtime.containers.start("nobody")


@pytest.mark.parametrize("code", [0, 3])
async def test_ended__its_code_is_seen(harness, code: int) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", f"exit {code}")))
    ended = await harness.ended(identity, code)
    assert (ended.exit_code, ended.stop_requested, ended.oom_killed) == (code, False, False)
    assert ended.finished_at is not None
    assert ended.pid is None


async def test_ended__starts_again(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "exit 1")))
    await harness.ended(identity, 1)
    await harness.runtime.containers.start(identity)
    ended = await harness.ended(identity, 1)
    assert ended.exit_code == 1


async def test_killed_for_memory__is_seen_as_such(harness) -> None:
    eat = "x=a; while true; do x=$x$x; done"
    limits = container.Resources(None, 16 << 20, None, None)
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", eat), resources=limits))
    ended = await harness.ended(identity, 137, oom_killed=True)
    assert (ended.exit_code, ended.oom_killed) == (137, harness.tells_oom)


async def test_child_killed_for_memory__is_no_such_end_of_the_container(harness) -> None:
    eat = "(x=a; while true; do x=$x$x; done); exit 0"
    limits = container.Resources(None, 16 << 20, None, None)
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", eat), resources=limits))
    ended = await harness.ended(identity, 0, oom_killed=True)
    assert (ended.exit_code, ended.oom_killed) == (0, False)


async def test_stop__asked_to_end__ends_and_says_so(harness) -> None:
    waits = ("/bin/sh", "-c", "trap 'exit 143' TERM; while true; do sleep 0.1; done")
    identity = await harness.running(harness.config(command=waits))
    await asyncio.sleep(0.2 if harness.name == "native" else 0)  # until the trap is set
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 5.0))
    observed = await harness.observe(identity)
    assert (observed.state, observed.exit_code, observed.stop_requested) == (EXITED, 143, True)


async def test_stop__deaf_to_its_signal__is_killed_after_the_grace_period(harness) -> None:
    identity = await harness.running(harness.config())  # the first process of a namespace ignores SIGTERM by default
    await harness.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 0.1))
    assert (await harness.observe(identity)).state is EXITED


async def test_stop__not_running__does_nothing(harness) -> None:
    identity = await harness.create(harness.config())
    await harness.runtime.containers.stop(identity, STOP_NOW)
    assert (await harness.observe(identity)).state is CREATED


async def test_kill__sends_the_signal(harness) -> None:
    identity = await harness.running(harness.config())
    await harness.runtime.containers.kill(identity, "SIGKILL")
    ended = await harness.until(identity, lambda observed: observed.state is EXITED)
    assert (ended.exit_code, ended.stop_requested) == (137, False)


async def test_kill__not_running__conflict(harness) -> None:
    identity = await harness.create(harness.config())
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
    assert (await harness.observe(identity)).name == "shop"
    await harness.runtime.containers.stop("shop", STOP_NOW)
    with pytest.raises(errors.NotFound):
        await harness.runtime.containers.start("web")


async def test_rename__name_taken__already_exists(harness) -> None:
    await harness.create(harness.config("other"))
    identity = await harness.create(harness.config())
    with pytest.raises(errors.AlreadyExists):
        await harness.runtime.containers.rename(identity, "other")
    assert (await harness.observe(identity)).name == "web"


async def test_update__running__changes_without_a_restart(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.observe(identity)
    limits = container.Resources(250, 32 << 20, None, 20)
    if not harness.can(policy.InPlace.RESOURCES):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.update(identity, api.ContainerChange(resources=limits))
        return
    await harness.runtime.containers.update(identity, api.ContainerChange(resources=limits))
    observed = await harness.observe(identity)
    assert observed.config == dataclasses.replace(before.config, resources=limits)
    assert (observed.pid, observed.started_at) == (before.pid, before.started_at)
    memory = (await harness.runtime.containers.stats())[identity].memory
    assert memory is not None
    assert memory.limit == 32 << 20


async def test_update__labels__are_changed_and_ownership_stays(harness) -> None:
    identity = await harness.running(harness.config())
    before = await harness.observe(identity)
    change = api.ContainerChange(labels=(("app", "new"),))
    if not harness.can(policy.InPlace.LABELS):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.update(identity, change)
        return
    await harness.runtime.containers.update(identity, change)
    observed = await harness.observe(identity)
    assert observed.config == dataclasses.replace(before.config, labels=(("app", "new"),))
    assert set(builders.labels_for(before.config)) <= set(observed.labels)
    assert (observed.pid, observed.started_at) == (before.pid, before.started_at)


async def test_update__supervision__is_kept_without_a_restart(harness) -> None:
    probe = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3)
    identity = await harness.running(harness.config(stop=container.StopConfig("SIGUSR2", 1.0)))
    before = await harness.observe(identity)
    for declared in (
        container.Supervision(
            restart=container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(2.0, 3.0, 4.0)),
            health=health.HealthConfig(None, probe, probe),
            stop=container.StopConfig("SIGINT", 120.5),
            update=container.UpdateStrategy.RECREATE,
            depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
        ),
        dataclasses.replace(before.config.supervision, stop=container.StopConfig("", 90.0)),
    ):
        await harness.runtime.containers.update(identity, api.ContainerChange(supervision=declared))
        observed = await harness.observe(identity)
        assert observed.config == before.config.supervised(declared)
        assert (observed.pid, observed.started_at) == (before.pid, before.started_at)


async def test_stop__signal_no_longer_declared__the_images_own_is_sent(harness) -> None:
    """SIGUSR2, which it was made with, would end this one with another code."""
    script = "trap 'exit 7' TERM; trap 'exit 8' USR2; while :; do sleep 0.05; done"
    identity = await harness.running(
        harness.config(command=("/bin/sh", "-c", script), stop=container.StopConfig("SIGUSR2", 1.0))
    )
    supervision = dataclasses.replace(
        (await harness.observe(identity)).config.supervision, stop=container.StopConfig("", 10.0)
    )
    await harness.runtime.containers.update(identity, api.ContainerChange(supervision=supervision))
    await asyncio.sleep(0.2)  # the shell sets its traps
    await harness.runtime.containers.stop(identity, supervision.stop)
    expected = 143 if harness.world is not None else 7  # a simulated one has no traps
    assert (await harness.observe(identity)).exit_code == expected


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
    assert (await harness.observe(identity)).config.resources == free


async def test_exec__gives_output_and_code(harness) -> None:
    harness.program("/bin/sh", 7, b"hello\n")
    identity = await harness.running(harness.config())
    request = streams.ExecRequest(("/bin/sh", "-c", "echo hello; exit 7"))
    async with harness.runtime.containers.exec(identity, request) as session:
        output = b"".join([chunk async for _, chunk in session.output()])
        assert (output, await session.wait()) == (b"hello\n", 7)


async def test_exec__a_child_keeps_its_streams_open__ends_with_its_program(harness) -> None:
    harness.program("/bin/sh", 3, b"hello\n")
    identity = await harness.running(harness.config())
    request = streams.ExecRequest(("/bin/sh", "-c", "sleep 1000 & echo hello; exit 3"))
    async with asyncio.timeout(10), harness.runtime.containers.exec(identity, request) as session:
        output = b"".join([chunk async for _, chunk in session.output()])
        assert (output, await session.wait()) == (b"hello\n", 3)


async def test_exec__left_early__ends_all_that_it_has_started(harness) -> None:
    if harness.world is not None:
        pytest.skip("what is simulated has no processes")
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "while :; do sleep 0.1; done")))
    request = streams.ExecRequest(("/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait"))
    async with harness.runtime.containers.exec(identity, request) as session:
        assert await anext(session.output()) == ("stdout", b"ready\n")
    async with asyncio.timeout(60):
        while await _threads(harness, identity) > 2:  # noqa: ASYNC110 - the kernel's own count
            await asyncio.sleep(0.05)


async def test_exec__not_running__conflict(harness) -> None:
    identity = await harness.create(harness.config())
    with pytest.raises(errors.Conflict):
        async with harness.runtime.containers.exec(identity, streams.ExecRequest(("/bin/true",))):
            pass


async def test_logs__lines_in_order(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "echo one; echo two; echo three")))
    harness.wrote(identity, "one", "two", "three")
    await harness.ended(identity, 0)
    lines = [line async for line in harness.runtime.containers.logs(identity, streams.LogRequest())]
    assert [(line.stream, line.text) for line in lines] == [("stdout", text) for text in ("one", "two", "three")]
    assert [line.time for line in lines] == sorted(line.time for line in lines)


async def test_logs__last_line_without_an_end__is_there_with_all_its_characters(harness) -> None:
    if not harness.keeps_unended_lines:
        pytest.skip("this engine loses it")
    script = "i=0; while [ $i -lt 3000 ]; do printf 'größe '; i=$((i+1)); done; printf 'panic: größe' >&2; sleep 0.2"
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", script)))
    harness.wrote(identity, "größe " * 3000)
    harness.wrote(identity, "panic: größe", stream="stderr")
    await harness.ended(identity, 0)
    logs = harness.runtime.containers.logs
    for request in (streams.LogRequest(), streams.LogRequest(follow=True), streams.LogRequest(tail=100_000)):
        lines = {line.stream: line.text async for line in logs(identity, request)}
        assert lines == {"stdout": "größe " * 3000, "stderr": "panic: größe"}


async def test_logs__tail_and_since(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "echo one; sleep 1.1; echo two")))
    harness.wrote(identity, "one")
    await asyncio.sleep(0.02)
    harness.wrote(identity, "two")
    await harness.ended(identity, 0)
    logs = harness.runtime.containers.logs
    every = [line async for line in logs(identity, streams.LogRequest())]
    assert [line.text async for line in logs(identity, streams.LogRequest(tail=1))] == ["two"]
    assert [line.text async for line in logs(identity, streams.LogRequest(tail=0))] == []
    assert [line.text async for line in logs(identity, streams.LogRequest(since=every[1].time))] == ["two"]


async def test_logs__followed__ends_with_the_container(harness) -> None:
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", "sleep 0.3; echo late")))

    async def act() -> None:
        await asyncio.sleep(0.1)
        harness.wrote(identity, "late")
        await harness.ended(identity, 0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(act())
        lines = [line.text async for line in harness.runtime.containers.logs(identity, streams.LogRequest(follow=True))]
    assert lines == ["late"]


async def test_stats__of_what_runs(harness) -> None:
    identity = await harness.running(harness.config())
    idle = await harness.create(harness.config("idle"))
    stats = await harness.runtime.containers.stats()
    assert idle not in stats
    memory, threads = stats[identity].memory, stats[identity].threads
    assert memory is not None
    assert memory.working_set > 0
    assert threads is not None
    assert threads >= 1


async def test_machine__is_large_enough_for_what_runs__where_there_is_one(harness) -> None:
    size = await harness.runtime.machine()
    assert (size is None) == harness.runtime.features.is_simulated
    assert size is None or (size.cores >= 1 and size.memory > 1 << 20)


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
    identity = await harness.create(harness.config())
    task = asyncio.ensure_future(harness.runtime.containers.start(identity))  # noqa: TID251 - to be cancelled
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await harness.observe(identity)).state in {CREATED, RUNNING}
    await harness.runtime.containers.start(identity)
    assert (await harness.observe(identity)).state is RUNNING


def restricted(containers: Any, access: hostaccess.HostAccess) -> Any:
    """Return the same containers' role, which may have less of the host."""
    if dataclasses.is_dataclass(containers):
        return dataclasses.replace(containers, access=access)
    return type(containers)(containers.engine, access)


async def test_bind__a_symlink_out_of_what_is_admitted__is_refused_at_creation_and_at_each_start(
    harness, tmp_path
) -> None:
    if harness.world is not None:
        pytest.skip("a simulated container has nothing of the host")
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    (allowed / "data").mkdir()
    (allowed / "way-out").symlink_to(outside)
    access = hostaccess.HostAccess((str(allowed),))
    containers = restricted(harness.runtime.containers, access)

    def config(source: pathlib.Path) -> container.ContainerConfig:
        return harness.config(mounts=(container.BindMount(str(source), "/host", read_only=False),))

    for source in (allowed / "way-out", allowed / ".." / "outside", outside):
        with pytest.raises(errors.InvalidArgument) as raised:
            await containers.create(config(source), "web", ())
        assert raised.value.reason == "BindNotAdmitted"
    identity = await containers.create(config(allowed / "data"), "web", builders.labels_for(config(allowed / "data")))
    await containers.start(identity)
    await containers.stop(identity, STOP_NOW)
    (allowed / "data").rmdir()
    (allowed / "data").symlink_to(outside)
    with pytest.raises(errors.InvalidArgument) as raised:
        await containers.start(identity)
    assert raised.value.reason == "BindNotAdmitted"


async def test_user__root_not_admitted__the_images_own_counts_too(harness) -> None:
    if harness.world is not None:
        pytest.skip("a simulated container has no user")
    containers = restricted(harness.runtime.containers, hostaccess.HostAccess(refuses_root=True))
    usual = harness.config().security
    for user in ("", "0", "root"):  # the image names none: root
        with pytest.raises(errors.InvalidArgument) as raised:
            await containers.create(harness.config(security=dataclasses.replace(usual, user=user)), "web", ())
        assert raised.value.reason == "RunsAsRoot"
    identity = await containers.create(harness.config(security=dataclasses.replace(usual, user="1000")), "web", ())
    await containers.start(identity)


async def _threads(harness, identity: str) -> int:
    """Return the number of threads of a container; 0 where it is not known."""
    return (await harness.runtime.containers.stats())[identity].threads or 0
