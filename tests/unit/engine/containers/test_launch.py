"""Bind sources are looked at where nobody else is held up: on a network file system a look may hang for ever."""

import asyncio
import dataclasses
import pathlib
import threading
from typing import Any

import pytest

from agent import errors
from agent.engine.containers import launch
from agent.engine.spec import container as container_spec
from agent.kit import lookups
from tests import hung_mounts
from tests.unit.drivers import test_native_translate


def binding(source: pathlib.Path) -> container_spec.ContainerSpec:
    """Return a container with a bind."""
    mount = container_spec.Mount(type="bind", source=str(source), path="/data")
    return dataclasses.replace(test_native_translate.record().spec, mounts=(mount,))


def launcher() -> launch.Launcher:
    """Return a launcher that only checks."""
    nothing: Any = None
    return launch.Launcher(nothing, nothing, lookups.Lookups(0.3))


def looks(path: pathlib.Path) -> int:
    return sum(thread.name == f"look at {path}" for thread in threading.enumerate())


@pytest.mark.root
async def test_check__the_sources_file_system_does_not_answer__is_told_and_holds_nobody_up(tmp_path) -> None:
    with hung_mounts.hung(tmp_path / "nfs") as mount:
        checks = launcher()
        checking = asyncio.get_running_loop().create_task(checks.check(binding(mount / "data")))
        ticks = 0
        while not checking.done():
            await asyncio.wait([checking], timeout=0.01)
            ticks += 1
        assert ticks > 5, "the loop goes on"
        with pytest.raises(errors.Unavailable, match=r"of bind source .*/nfs/data does not answer .*: stat ") as caught:
            await checking
        assert caught.value.reason == "MountSourceMissing"
        for _ in range(10):
            with pytest.raises(errors.Unavailable, match="does not answer"):
                await checks.check(binding(mount / "data"))
        assert looks(mount / "data") == 1, "one that hangs is enough"
        await checks.check(binding(tmp_path))


async def test_check__a_source_that_is_missing_or_there__is_told_apart(tmp_path: pathlib.Path) -> None:
    checks = launcher()
    with pytest.raises(errors.Unavailable, match="does not exist on this host"):
        await checks.check(binding(tmp_path / "missing"))
    (tmp_path / "missing").mkdir()
    await checks.check(binding(tmp_path / "missing"))
    for thread in threading.enumerate():
        if thread.name == f"look at {tmp_path / 'missing'}":  # it has answered and may be a step from its end
            thread.join(30)
    assert looks(tmp_path / "missing") == 0
