"""What is on lease is there as long as its holder lives, in whatever process that is."""

import asyncio
import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from agent.engine import layout
from agent.engine.images import leases

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NAME = "registry.example/app:1"
HOLDER = """
import asyncio, pathlib, sys
from agent.engine import layout
from agent.engine.images import leases
held = leases.Leases(layout.of(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))

async def main():
    async with held.reading([sys.argv[3]]) if sys.argv[4] == "read" else held.pulling("app", [sys.argv[3]]):
        print("held", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def where(tmp_path: pathlib.Path) -> layout.Layout:
    paths = layout.of(tmp_path / "root", tmp_path / "run")
    paths.prepare()
    return paths


@pytest.fixture
def held(where: layout.Layout) -> leases.Leases:
    return leases.Leases(where)


@pytest.fixture(params=["read", "pull"])
def elsewhere(where: layout.Layout, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds a lease of ``ONE``."""
    words = [sys.executable, "-c", HOLDER, str(where.root), str(where.run), ONE, request.param]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def nothing(_: leases.Lease) -> None:
    """Do nothing."""


async def fails(
    held: leases.Leases, *resources: str, during: Callable[[leases.Lease], Awaitable[None]] = nothing
) -> None:
    """Start a pull that fails."""
    with contextlib.suppress(RuntimeError):
        async with held.pulling(NAME, resources) as lease:
            await during(lease)
            raise RuntimeError


def leased(held: leases.Leases, later: float = 0.0) -> frozenset[str]:
    now = time.time() + later
    with held.all_held(now) as before:
        pass
    with held.all_held(now, end=True) as look_result:
        assert before == look_result, "whoever only looks sees the same, and ends nothing"
        assert not look_result.everything
        return look_result.resources


async def test_reading__until_the_block_ends__is_on_lease(held, where) -> None:
    async with held.reading([ONE]) as lease:
        assert leased(held) == {ONE}
        await lease.add([TWO])
        assert leased(held, 10 * leases.KEPT) == {ONE, TWO}
    assert (leased(held), list(where.leases.iterdir())) == (frozenset(), [])


async def test_reading__fails__ends_as_well(held, where) -> None:
    with contextlib.suppress(RuntimeError):
        async with held.reading([ONE]):
            raise RuntimeError
    assert list(where.leases.iterdir()) == []


async def test_pulling__fails__what_has_come_is_kept_for_a_day(held, where) -> None:
    await fails(held, ONE, during=lambda lease: lease.add([TWO]))
    assert leased(held, leases.KEPT - 60) == {ONE, TWO}
    assert leased(held, leases.KEPT + 60) == frozenset()
    assert list(where.leases.iterdir()) == []


async def test_pulling__for_longer_than_a_day__is_held_and_kept_from_its_end_on(held, where) -> None:
    async def long(_: leases.Lease) -> None:
        (path,) = where.leases.iterdir()
        os.utime(path, (0, 0))
        assert leased(held) == {ONE}

    await fails(held, ONE, during=long)
    assert leased(held) == {ONE}


async def test_pulling__again_and_it_is_another_image_by_now__holds_that_alone(held, where) -> None:
    await fails(held, ONE)
    async with held.pulling(NAME, [TWO]):
        assert leased(held) == {TWO}
    assert list(where.leases.iterdir()) == []


async def test_forget__what_a_broken_pull_has_left__is_kept_for_nobody(held, where) -> None:
    await fails(held, ONE)
    held.forget("another")
    assert leased(held) == {ONE}
    held.forget(NAME)
    assert (leased(held), list(where.leases.iterdir())) == (frozenset(), [])


async def test_everything__while_an_archive_is_read__nothing_may_go(held) -> None:
    async with held.everything(), held.reading([ONE]):
        with held.all_held(time.time()) as look_result:
            assert (look_result.everything, look_result.resources) == (True, {ONE})
    with held.all_held(time.time()) as look_result:
        assert not look_result.everything


@pytest.mark.usefixtures("elsewhere")
def test_lease__of_another_process__is_respected_while_that_lives(held) -> None:
    assert leased(held) == {ONE}


@pytest.mark.parametrize("elsewhere", ["read"], indirect=True)
def test_reading__its_process_is_killed__is_over(held, where, elsewhere) -> None:
    elsewhere.kill()
    elsewhere.wait()
    assert (leased(held), list(where.leases.iterdir())) == (frozenset(), [])


@pytest.mark.parametrize("elsewhere", ["pull"], indirect=True)
def test_pulling__its_process_is_killed__is_kept_for_the_next_attempt(held, elsewhere) -> None:
    elsewhere.kill()
    elsewhere.wait()
    assert (leased(held), leased(held, leases.KEPT + 60)) == ({ONE}, frozenset())


def test_looked_at__until_its_block_ends__nobody_gets_a_lease(held, where) -> None:
    words = [sys.executable, "-c", HOLDER, str(where.root), str(where.run), ONE, "read"]
    with held.all_held(time.time()) as look_result:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        assert (look_result.resources, list(where.leases.iterdir())) == (frozenset(), [])
    try:
        assert process.stdout.readline() == "held\n"
        assert leased(held) == {ONE}
    finally:
        process.kill()
        process.communicate()


async def test_lease__another_process_has_stopped_while_it_looks__only_who_wants_one_waits(held) -> None:
    async def holds() -> None:
        async with held.reading([ONE]):
            pass

    with held.all_held(time.time()):
        waiting = asyncio.get_running_loop().create_task(holds())
        await asyncio.sleep(0.05)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)


async def test_leases__given_and_ended_while_others_look__nobody_fails_and_none_is_lost(held) -> None:
    looking = threading.Event()

    def look() -> int:
        looks = 0
        while not looking.is_set():
            with held.all_held(time.time(), end=True) as look_result:
                assert always <= look_result.resources
                looks += 1
        return looks

    always = {TWO}
    async with held.reading(always):
        watching = asyncio.get_running_loop().run_in_executor(None, look)
        for _ in range(300):
            async with held.reading([ONE]):
                pass
        looking.set()
        assert await watching > 10
    assert leased(held) == frozenset()


def test_lease__ends_just_as_somebody_looks__is_none(held, monkeypatch) -> None:
    monkeypatch.setattr(pathlib.Path, "iterdir", lambda folder: iter([folder / "read-gone"]))
    assert leased(held) == frozenset()


async def test_pull__broken_before_the_clock_was_set_back__is_not_kept_for_longer_than_a_day(
    held: leases.Leases,
) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with held.pulling(NAME, [ONE]):
            raise ZeroDivisionError
    now = time.time()
    with held.all_held(now - 600) as leased:
        assert leased.resources == {ONE}
    for step in (-40 * 86400.0, -86400.0, 2 * 86400.0):
        with held.all_held(now + step) as leased:
            assert leased.resources == set()
