"""Logs of running containers are rotated, and where that fails it is said until it is done."""

import asyncio
import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

import pytest

from agent.engine import layout, records
from agent.engine.containers import table, upkeep
from agent.engine.shim import liveness
from agent.kit import notices
from tests.unit.drivers import test_native_translate
from tests.unit.kit import test_notices

LIMIT = 1000


@pytest.fixture
def heard() -> list[notices.NoticeChange]:
    return []


@pytest.fixture
def tending(tmp_path: pathlib.Path, heard: list[notices.NoticeChange]) -> Iterator[upkeep.Upkeep]:
    """One running container, whose monitor is this process and whose log is too long; nobody listens for rotations."""
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.prepare()
    (where.bundles / "1").mkdir()
    os.mkfifo(where.bundles / "1" / "ctl")
    where.log("1").parent.mkdir(parents=True)
    where.log("1").write_bytes(bytes(LIMIT))
    with contextlib.closing(records.Database(where.records, [table.SCHEMA])) as database:
        containers = table.Table(database)
        run = table.Run("epoch", os.getpid(), None, os.getpid(), liveness.start_time(os.getpid()), ())
        containers.put(test_native_translate.record(phase=table.Phase.RUNNING, run=run))
        register = notices.Register(test_notices.Clock(), heard.append)
        yield upkeep.Upkeep(where=where, containers=containers, log_size=LIMIT, log_files=3, register=register)


async def test_rotate__nobody_takes_it__is_said_until_it_is_done(
    tending: upkeep.Upkeep, heard: list[notices.NoticeChange]
) -> None:
    await tending.rotate()
    await tending.rotate()
    (notice,) = tending.register.all()
    assert (notice.reason, notice.subject, notice.attempts) == ("CleanUpFailed", "log of container 1", 2)
    listening = os.open(tending.where.bundles / "1" / "ctl", os.O_RDONLY | os.O_NONBLOCK)
    await tending.rotate()
    assert os.read(listening, 100) == b"2 0 0\n"
    os.close(listening)
    assert (tending.register.all(), heard[-1].is_over) == ((), True)


async def test_rotate__the_container_ends_meanwhile__is_said_no_more(tending: upkeep.Upkeep) -> None:
    await tending.rotate()
    tending.containers.drop("1")
    tending.register._clock.at += 5.0  # type: ignore[attr-defined]
    runner = asyncio.get_running_loop().create_task(tending.register.run())
    async with asyncio.timeout(15):
        while tending.register.all():  # noqa: ASYNC110 - observed from outside on purpose
            await asyncio.sleep(0.01)
    assert tending.register.all() == ()
    runner.cancel()


async def test_rotate__its_monitor_has_just_ended__is_no_failure(tending: upkeep.Upkeep) -> None:
    record = tending.containers.get("1")
    run = table.Run("epoch", 1, None, os.getpid(), 1, ())
    tending.containers.put(test_native_translate.record(phase=record.phase, run=run))
    await tending.rotate()
    assert tending.register.all() == ()


async def test_rotate__the_disk_hangs__holds_nobody_up(tending: upkeep.Upkeep, monkeypatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(upkeep.log_files, "rotate", lambda *_: goes_on.wait(15))
    rotating = asyncio.get_running_loop().create_task(tending.rotate())
    await asyncio.sleep(0.05)
    assert not rotating.done()
    goes_on.set()
    await rotating
    assert tending.register.all() == ()
