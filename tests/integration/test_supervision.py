"""Ends, starts and removals that something comes between: nothing hangs, nothing is left, the next call is whole."""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.engine import recover
from agent.engine.cgroups import hierarchy
from agent.engine.shim import liveness, oci_runtime
from agent.kit import failpoint, notices, processes
from agent.model import container
from agent.runtime import events
from tests import builders
from tests.integration import native

pytestmark = pytest.mark.root

CREATED, RUNNING, EXITED = (
    container.ContainerState.CREATED,
    container.ContainerState.RUNNING,
    container.ContainerState.EXITED,
)
NOW = container.StopConfig("SIGKILL", 15.0)


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


def writable(host: native.Host, on: bool) -> None:
    """Make the records writable, or refuse writes as a full disk does."""
    host.runtime.engine.table._database._connection.execute(f"PRAGMA query_only = {'OFF' if on else 'ON'}")


async def leftovers(host: native.Host) -> list[str]:
    """Return what no record accounts for; the instance's own cgroup stays while it has any container."""
    own = host.runtime.engine.where.cgroup
    return [
        leftover
        for leftover in await recover.leftovers(host.runtime.engine.recovery)
        if not leftover.endswith(f"/{own}")
    ]


async def created(host: native.Host) -> str:
    """Make a container that is not started."""
    config = builders.config(image=native.REFERENCE, command=("/bin/sh", "-c", "sleep 1000"))
    return await host.runtime.containers.create(config, config.name, ())


async def test_end__records_cannot_be_written__is_seen_and_nothing_is_taken_away_before_they_can(host) -> None:
    identity = await host.started("exit 7")
    writable(host, on=False)
    try:
        assert (await host.ended(identity)).code == 7
        assert (host.runtime.engine.where.bundles / identity).exists()
    finally:
        writable(host, on=True)
    await host.runtime.containers.start(identity)
    assert (await host.ended(identity)).code == 7


async def test_start__cannot_be_recorded__leaves_nothing_running(host) -> None:
    identity = await created(host)
    failpoint.arm("containers.started", "error")
    with pytest.raises(failpoint.FailpointError):
        await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is CREATED
    assert await leftovers(host) == []
    await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is RUNNING


@pytest.mark.parametrize("point", ["network", "snapshot", "conmon", "start"])
async def test_start__fails_anywhere__is_undone_and_works_the_next_time(host, point: str) -> None:
    identity = await created(host)
    failpoint.arm(f"containers.launch.{point}", "error")
    with pytest.raises(failpoint.FailpointError):
        await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is CREATED
    assert await leftovers(host) == []
    await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is RUNNING


async def test_start__killed_before_its_program_begins__is_worth_another_try(host, monkeypatch) -> None:
    identity = await created(host)
    start, killed = oci_runtime.OciRuntime.start, []

    async def too_late(runtime: oci_runtime.OciRuntime, container_id: str) -> None:
        if not killed:
            killed.append(int((host.runtime.engine.where.bundles / container_id / "pid").read_text()))
            os.kill(killed[0], signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):  # it is gone already
                await asyncio.wait_for(processes.wait(killed[0]), 5)
        await start(runtime, container_id)

    monkeypatch.setattr(oci_runtime.OciRuntime, "start", too_late)
    with pytest.raises(errors.Unavailable, match="was killed before its program began") as caught:
        await host.runtime.containers.start(identity)
    assert caught.value.reason == "StartFailed"
    assert ((await host.observe(identity)).state, await leftovers(host)) == (CREATED, [])
    await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is RUNNING


async def test_start__no_such_program__is_refused_and_not_tried_again(host) -> None:
    config = builders.config(image=native.REFERENCE, command=("/bin/nothing",))
    identity = await host.runtime.containers.create(config, config.name, ())
    with pytest.raises(errors.InvalidArgument) as caught:
        await host.runtime.containers.start(identity)
    assert caught.value.reason == "StartFailed"


async def test_start__fails_and_cannot_be_undone__says_why_it_failed_and_is_cleaned_before_the_next(host) -> None:
    identity = await created(host)
    failpoint.arm("containers.launch.conmon", "error")
    failpoint.arm("containers.clean.mounts", "error")
    with pytest.raises(failpoint.FailpointError, match=r"containers\.launch\.conmon"):
        await host.runtime.containers.start(identity)
    assert host.runtime.engine.recovery.cleaner.unfinished == {identity}
    await host.runtime.containers.start(identity)
    assert (await host.observe(identity)).state is RUNNING
    assert host.runtime.engine.recovery.cleaner.unfinished == set()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_start__cancelled_anywhere_and_again_while_it_is_undone__the_next_one_works(host, times: int) -> None:
    identity = await created(host)
    for delay in (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(host.runtime.containers.start(identity))
            await asyncio.sleep(delay)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
        assert (await host.observe(identity)).state in {CREATED, EXITED, RUNNING}
        await host.runtime.containers.start(identity)
        assert (await host.observe(identity)).state is RUNNING
        await host.runtime.containers.stop(identity, NOW)
    await host.runtime.containers.remove(identity)
    assert await leftovers(host) == []


@pytest.mark.parametrize("part", ["runtime", "mounts", "network"])
async def test_stop__end_cannot_be_cleaned_up__is_told_and_tried_again_until_it_is(host, part: str) -> None:
    identity = await host.started("sleep 1000")
    stream = host.runtime.events.subscribe()
    failpoint.arm(f"containers.clean.{part}", "error")
    await host.runtime.containers.stop(identity, NOW)
    (notice,) = host.runtime.notices()
    assert (notice.reason, notice.subject) == (notices.NoticeReason.CLEAN_UP_FAILED, f"container {identity}")
    assert f"containers.clean.{part}" in notice.message
    async with asyncio.timeout(10):
        actions = [event.action async for event in _until_cleaned(stream)]
    assert events.EventAction.CLEAN_UP_FAILED in actions
    assert host.runtime.notices() == ()
    assert host.runtime.engine.recovery.cleaner.unfinished == set()
    assert await leftovers(host) == []


async def _until_cleaned(stream: AsyncIterator[events.RuntimeEvent]) -> AsyncIterator[events.RuntimeEvent]:
    async for event in stream:
        yield event
        if event.action is events.EventAction.CLEANED_UP:
            return


@pytest.mark.parametrize("part", ["runtime", "mounts", "network"])
async def test_remove__end_could_not_be_cleaned__is_done_first(host, part: str) -> None:
    identity = await host.started("sleep 1000")
    failpoint.arm(f"containers.clean.{part}", "error")
    await host.runtime.containers.stop(identity, NOW)
    assert host.runtime.engine.recovery.cleaner.unfinished == {identity}
    await host.runtime.containers.remove(identity)
    assert await leftovers(host) == []


async def test_remove__left_overs_stay__says_so_and_forgets_nothing(host) -> None:
    identity = await host.started("sleep 1000")
    failpoint.arm("containers.clean.mounts", "error")
    await host.runtime.containers.stop(identity, NOW)
    failpoint.arm("containers.clean.mounts", "error")
    with pytest.raises(errors.Unavailable, match=r"cannot be taken away: injected failure") as caught:
        await host.runtime.containers.remove(identity)
    assert caught.value.reason == "CleanupFailed"
    assert (await host.observe(identity)).state is EXITED


async def test_connect__fails_halfway__is_seen_as_not_connected(host) -> None:
    shop = builders.network_config(subnets=(builders.network.Subnet("10.231.7.0/24", None, None),))
    await host.runtime.networks.create(shop, ())
    try:
        own = container.NetworkAttachment("shop", (), "10.231.7.5")
        await host.started("sleep 1000", name="first", networks=(own,))
        attached = container.NetworkAttachment("shop", (), "10.231.7.6")
        identity = await host.started("sleep 1000", networks=(attached,))
        with pytest.raises(errors.Conflict):
            await host.runtime.containers.connect(identity, own)
        observed = await host.observe(identity)
        assert (observed.config.networks, observed.addresses) == ((), ())
        await host.runtime.containers.connect(identity, attached)
        assert (await host.observe(identity)).addresses == (("shop", "10.231.7.6"),)
    finally:
        for observed_container in await host.runtime.containers.list():
            await host.runtime.containers.remove(observed_container.id)
        await host.runtime.networks.remove("shop")


async def test_calls_on_one_container__all_at_once__are_made_one_after_the_other(host) -> None:
    identity = await host.started("sleep 1000")
    containers = host.runtime.containers
    async with asyncio.timeout(15):
        done = await asyncio.gather(
            containers.stop(identity, NOW),
            containers.start(identity),
            containers.rename(identity, "shop"),
            containers.remove(identity),
            containers.start(identity),
            return_exceptions=True,
        )
    assert done[:4] == [None, None, None, None]
    assert isinstance(done[4], errors.NotFound)
    assert await containers.list() == ()


@pytest.fixture
def freezer_file(host):
    """Return where a container is frozen, and the words for it."""
    hierarchies = hierarchy.of_host()
    name, frozen, thawed = ("freezer.state", "FROZEN", "THAWED") if hierarchies.legacy else ("cgroup.freeze", "1", "0")

    def of(identity: str) -> tuple[pathlib.Path, str, str]:
        directory = hierarchies.directory("freezer", f"{host.runtime.engine.where.cgroup}/{identity}")
        assert directory is not None
        return directory / name, frozen, thawed

    return of


async def halted(host, freezer_file) -> tuple[str, int]:
    """Start a container, stop its monitor and freeze it; return its id and the monitor's pid."""
    identity = await host.started("trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done")
    await host.wait_for_line(identity, "up")
    run = host.runtime.engine.table.get(identity).run
    assert run is not None
    path, frozen, _ = freezer_file(identity)
    os.kill(run.monitor, signal.SIGSTOP)
    path.write_text(frozen)
    async with asyncio.timeout(5):
        while not liveness.is_stopped(run.monitor) or path.read_text().strip() != frozen:  # noqa: ASYNC110 - the kernel's
            await asyncio.sleep(0.01)
    return identity, run.monitor


async def test_recheck__monitor_stopped_or_cgroup_frozen__goes_on(host, freezer_file) -> None:
    identity, monitor = await halted(host, freezer_file)
    await host.runtime.containers.list()  # goes by what is remembered
    assert liveness.is_stopped(monitor)
    host.runtime.recheck()
    assert (await host.observe(identity)).state is RUNNING
    assert not liveness.is_stopped(monitor)
    path, _, thawed = freezer_file(identity)
    assert path.read_text().strip() == thawed
    await host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 15.0))
    assert (await host.observe(identity)).exit_code == 3


async def test_stop__halted_container__ends_as_any_other(host, freezer_file) -> None:
    identity, _ = await halted(host, freezer_file)
    await host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 15.0))
    assert (await host.observe(identity)).exit_code == 3


async def test_remove__halted_container__leaves_nothing(host, freezer_file) -> None:
    identity, _ = await halted(host, freezer_file)
    await host.runtime.containers.remove(identity)
    assert await leftovers(host) == []
