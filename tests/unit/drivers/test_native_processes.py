"""Ends and processes of containers as they are told beside the agent, and the runtime's own document."""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from agent import errors
from agent.drivers.native import inspection, processes, records_view, translate
from agent.engine import layout
from agent.engine.containers import table
from agent.engine.shim import liveness
from agent.model import secret
from agent.oci import image_config, platform
from tests import builders

EMPTY = image_config.ImageConfig(platform.Platform("linux", "", ""), (), (), (), "", "", "", (), (), ())


@dataclasses.dataclass(slots=True)
class Instance:
    """An instance with one container, whose monitor is a process of the test's own."""

    view: records_view.RecordsView
    records: dict[str, table.ContainerRecord]
    monitor: "subprocess.Popen[bytes]"

    @property
    def bundle(self) -> pathlib.Path:
        """The container's bundle."""
        return self.view.where.bundles / "1"

    def change(self, **fields: Any) -> None:
        """Record something else of the container."""
        self.records["1"] = dataclasses.replace(self.records["1"], **fields)

    async def wait(self) -> int | None:
        """Wait for the container's end, which comes in a moment."""
        asyncio.get_running_loop().call_later(0.1, self.monitor.kill)
        async with asyncio.timeout(10):
            return await processes.wait(self.view, "1")


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> Iterator[Instance]:
    """A container that runs."""
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.prepare()
    (where.bundles / "1").mkdir()
    monitor = subprocess.Popen(["sleep", "60"])
    run = table.Run("", os.getpid(), None, monitor.pid, liveness.start_time(monitor.pid), ())
    variable = secret.SecretVariable("PASSWORD", "db", "password", "f1")
    spec = translate.container_spec(builders.config(secret_env=(variable,)), ())
    record = table.ContainerRecord(
        "1", "web", spec, "sha256:1", EMPTY, (), "SIGTERM", table.Phase.RUNNING, 1.0, run, started_at=2.0
    )
    records = {"1": record}
    yield Instance(records_view.RecordsView(where, records.__getitem__, is_current=False), records, monitor)
    monitor.kill()
    monitor.wait()


async def test_wait__what_the_monitor_has_written__is_the_code(instance: Instance) -> None:
    (instance.bundle / "1").write_text("7")
    assert await instance.wait() == 7


async def test_wait__recorded_and_cleaned_up_by_then__is_what_was_recorded(instance: Instance) -> None:
    asyncio.get_running_loop().call_soon(lambda: instance.change(phase=table.Phase.EXITED, run=None, exit_code=9))
    assert await instance.wait() == 9


async def test_wait__nobody_has_seen_the_end__is_none(instance: Instance) -> None:
    assert await instance.wait() is None


@pytest.mark.parametrize("phase", [table.Phase.STARTING, table.Phase.RUNNING])
async def test_wait__started_again_before_the_code_was_read__makes_none_up(instance: Instance, phase: Any) -> None:
    run = instance.records["1"].run
    assert run is not None
    later = dataclasses.replace(run, monitor_started=1) if phase is table.Phase.RUNNING else None
    asyncio.get_running_loop().call_soon(lambda: instance.change(phase=phase, run=later))
    with pytest.raises(errors.Unavailable, match="started again"):
        await instance.wait()


async def test_wait__ended_or_never_run(instance: Instance) -> None:
    instance.change(phase=table.Phase.EXITED, run=None, exit_code=3)
    assert await processes.wait(instance.view, "1") == 3
    instance.change(phase=table.Phase.CREATED, started_at=None, exit_code=None)
    with pytest.raises(errors.Conflict):
        await processes.wait(instance.view, "1")


async def test_wait__cancelled__lets_go_of_the_monitor(instance: Instance) -> None:
    before = set(pathlib.Path("/proc/self/fd").iterdir())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await processes.wait(instance.view, "1")
    assert set(pathlib.Path("/proc/self/fd").iterdir()) <= before
    assert instance.monitor.poll() is None


def test_inspect__record_and_configuration__without_values_of_secrets(instance: Instance) -> None:
    document = {"process": {"env": ["A=1", "PASSWORD=s3cr3t", "PASSWORD_FILE=x"], "args": ["sh"]}, "hostname": "web"}
    (instance.bundle / "config.json").write_text(json.dumps(document))
    inspected: Any = inspection.inspect(instance.view, "1")
    assert inspected["record"]["name"] == "web"
    assert inspected["config"]["process"]["env"] == ["A=1", f"PASSWORD={secret.HIDDEN}", "PASSWORD_FILE=x"]
    assert inspected["config"]["hostname"] == "web"
    assert "s3cr3t" not in json.dumps(inspected)


def test_inspect__no_bundle_or_half_of_one__has_no_configuration(instance: Instance) -> None:
    assert inspection.inspect(instance.view, "1")["config"] is None
    (instance.bundle / "config.json").write_text('{"process": ')
    assert inspection.inspect(instance.view, "1")["config"] is None
