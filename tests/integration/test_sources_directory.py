"""A directory as a source, on a real file system with real events."""

import asyncio
import contextlib
import logging
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
from watchdog import observers

from agent.sources import api, directory, files
from tests import instances

_INTERVALS = directory.WatchIntervals(rescan=600.0)
"""No rescan within a test: what is seen is seen by events."""


class Watcher:
    """Follows a source the way the loop does: a snapshot for each hint."""

    def __init__(self, source: directory.DirectorySource) -> None:
        self.source = source
        self.contents: dict[str, str] | None = None
        self.hints = 0
        self.snapshots: list[dict[str, str] | None] = []

    async def follow(self) -> None:
        """Take a snapshot for each hint, until cancelled."""
        async for _ in self.source.changes():
            try:
                snapshot = await self.source.snapshot()
            except api.SourceUnavailable:
                self.contents = None
            else:
                prefix = self.source.name + "/"
                self.contents = {
                    file.path.removeprefix(prefix): file.problem or file.data.decode() for file in snapshot.files
                }
            self.snapshots.append(self.contents)
            self.hints += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, f"still {self.contents}"
            await asyncio.sleep(0.005)

    async def assert_sees(self, expected: dict[str, str] | None) -> None:
        """Wait until the source gives exactly these files; ``None``: until it is unavailable."""
        await self.until(lambda: self.hints > 0 and self.contents == expected)


@contextlib.asynccontextmanager
async def _watching(path: pathlib.Path, intervals: directory.WatchIntervals = _INTERVALS) -> AsyncIterator[Watcher]:
    async with directory.DirectorySource(str(path), intervals) as source, asyncio.TaskGroup() as group:
        watcher = Watcher(source)
        task = group.create_task(watcher.follow())
        try:
            await watcher.until(lambda: watcher.hints > 0)
            yield watcher
        finally:
            task.cancel()


@pytest.fixture
def top(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "manifests"
    path.mkdir()
    return path


async def test_changes__a_file_is_written_changed_and_removed__is_seen_each_time(top: pathlib.Path) -> None:
    async with _watching(top) as watcher:
        (top / "web.yaml").write_text("1")
        await watcher.assert_sees({"web.yaml": "1"})
        (top / "web.yaml").write_text("2")
        await watcher.assert_sees({"web.yaml": "2"})
        (top / "web.yaml").unlink()
        await watcher.assert_sees({})


async def test_changes__an_atomic_rename__is_seen_and_the_temporary_file_never(top: pathlib.Path) -> None:
    async with _watching(top) as watcher:
        (top / ".web.yaml.new").write_text("1")
        (top / ".web.yaml.new").rename(top / "web.yaml")
        await watcher.assert_sees({"web.yaml": "1"})
    assert all(set(contents or {}) <= {"web.yaml"} for contents in watcher.snapshots)


async def test_changes__a_slow_writer__half_a_file_is_never_seen(top: pathlib.Path) -> None:
    (top / "web.yaml").write_text("old")
    async with _watching(top) as watcher:
        with (top / "web.yaml").open("w") as file:
            for part in ("ne", "w and ", "whole"):
                file.write(part)
                file.flush()
                (top / "other.yaml").write_text(part)
                await watcher.until(lambda part=part: (watcher.contents or {}).get("other.yaml") == part)
                assert (watcher.contents or {})["web.yaml"] == "old"
        await watcher.assert_sees({"web.yaml": "new and whole", "other.yaml": "whole"})
    assert {(contents or {}).get("web.yaml") for contents in watcher.snapshots} == {"old", "new and whole"}


async def test_changes__a_new_file_that_is_still_written__is_left_out_until_it_is_closed(top: pathlib.Path) -> None:
    async with _watching(top) as watcher:
        with (top / "new.yaml").open("w") as file:
            file.write("half")
            file.flush()
            (top / "other.yaml").write_text("1")
            await watcher.assert_sees({"other.yaml": "1"})
        await watcher.assert_sees({"other.yaml": "1", "new.yaml": "half"})


async def test_changes__new_directories_with_files__are_seen(top: pathlib.Path) -> None:
    async with _watching(top) as watcher:
        (top / "a" / "b").mkdir(parents=True)
        (top / "a" / "b" / "web.yaml").write_text("1")
        await watcher.assert_sees({"a/b/web.yaml": "1"})
        (top / "a" / "b" / "web.yaml").write_text("2")
        await watcher.assert_sees({"a/b/web.yaml": "2"})
        shutil.rmtree(top / "a")
        await watcher.assert_sees({})


async def test_changes__the_directory_vanishes_and_returns__is_unavailable_and_then_watched_again(
    top: pathlib.Path,
) -> None:
    (top / "web.yaml").write_text("1")
    async with _watching(top) as watcher:
        for text in ("2", "3"):
            shutil.rmtree(top)
            await watcher.assert_sees(None)
            top.mkdir()
            await watcher.assert_sees({})
            (top / "web.yaml").write_text(text)
            await watcher.assert_sees({"web.yaml": text})


async def test_changes__renamed_away_and_back__is_watched_again(top: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with _watching(top) as watcher:
        top.rename(tmp_path / "elsewhere")
        await watcher.assert_sees(None)
        (tmp_path / "elsewhere").rename(top)
        await watcher.assert_sees({})
        (top / "web.yaml").write_text("1")
        await watcher.assert_sees({"web.yaml": "1"})


async def test_changes__a_directory_that_is_not_there_yet__is_seen_when_it_comes(tmp_path: pathlib.Path) -> None:
    async with _watching(tmp_path / "a" / "b") as watcher:
        assert watcher.contents is None
        (tmp_path / "a" / "b").mkdir(parents=True)
        await watcher.assert_sees({})
        (tmp_path / "a" / "b" / "web.yaml").write_text("1")
        await watcher.assert_sees({"web.yaml": "1"})


async def test_changes__a_config_map_is_swapped__old_and_new_are_never_mixed(top: pathlib.Path) -> None:
    for revision in ("1", "2"):
        (top / f"..{revision}").mkdir()
        (top / f"..{revision}" / "a.yaml").write_text(revision)
        (top / f"..{revision}" / "b.yaml").write_text(revision)
    (top / "..data").symlink_to("..1")
    for name in ("a.yaml", "b.yaml"):
        (top / name).symlink_to(f"..data/{name}")
    async with _watching(top) as watcher:
        await watcher.assert_sees({"a.yaml": "1", "b.yaml": "1"})
        (top / "..data_tmp").symlink_to("..2")
        (top / "..data_tmp").rename(top / "..data")
        shutil.rmtree(top / "..1")
        await watcher.assert_sees({"a.yaml": "2", "b.yaml": "2"})


async def test_changes__the_source_is_a_symlink_that_is_switched__is_seen(
    top: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (top / "web.yaml").write_text("1")
    other = tmp_path / "release-2"
    other.mkdir()
    (other / "web.yaml").write_text("2")
    current = tmp_path / "current"
    current.symlink_to(top)
    async with _watching(current) as watcher:
        await watcher.assert_sees({"web.yaml": "1"})
        (tmp_path / "next").symlink_to(other)
        (tmp_path / "next").rename(current)
        await watcher.assert_sees({"web.yaml": "2"})
        (other / "web.yaml").write_text("3")
        await watcher.assert_sees({"web.yaml": "3"})


async def test_changes__a_single_file__is_followed_through_editors_renames(top: pathlib.Path) -> None:
    path = top / "web.yaml"
    path.write_text("1")
    async with _watching(path) as watcher:
        await watcher.assert_sees({str(path): "1"})
        (top / "web.yaml~").write_text("2")
        (top / "web.yaml~").rename(path)
        await watcher.assert_sees({str(path): "2"})
        path.write_text("3")
        await watcher.assert_sees({str(path): "3"})
        path.unlink()
        await watcher.assert_sees(None)


async def test_changes__editors_scratch_files_and_reading__give_no_hint(top: pathlib.Path) -> None:
    (top / "web.yaml").write_text("1")
    async with _watching(top) as watcher:
        before = watcher.hints
        (top / ".web.yaml.swp").write_text("x")
        (top / "4913").write_text("x")
        (top / "#web.yaml#").write_text("x")
        (top / ".git").mkdir()
        (top / ".git" / "config.yaml").write_text("x")
        assert (top / "web.yaml").read_text() == "1"
        (top / "end.yaml").write_text("1")  # what is told next is this, and nothing before it
        await watcher.assert_sees({"web.yaml": "1", "end.yaml": "1"})
        assert watcher.hints == before + 1


async def test_changes__nothing_is_told__the_rescan_looks_anyway(top: pathlib.Path, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text("1")
    (top / "web.yaml").symlink_to(target)
    async with _watching(top, directory.WatchIntervals(rescan=0.05)) as watcher:
        target.write_text("2")
        await watcher.assert_sees({"web.yaml": "2"})


async def test_changes__ended_while_it_begins__leaves_no_thread(
    top: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, before = threading.Event(), set(threading.enumerate())

    class Slow(observers.Observer):  # type: ignore[misc,valid-type] # it is chosen by the platform
        def start(self) -> None:
            begins.set()
            time.sleep(0.05)
            super().start()

    monkeypatch.setattr(observers, "Observer", Slow)
    async with directory.DirectorySource(str(top), _INTERVALS) as source, asyncio.TaskGroup() as group:
        following = group.create_task(Watcher(source).follow())
        await asyncio.to_thread(begins.wait)
        following.cancel()
    leftovers = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
    assert leftovers == []


async def test_changes__watched__only_what_is_amiss_is_logged(
    top: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _watching(top):
        library = logging.getLogger("watchdog.observers.inotify")
        library.error("InotifyEmitter.queue_events() called when the thread is inactive")
        library.warning("Inotify queue overflowed; filesystem events were lost")
    assert [record.getMessage() for record in caplog.records] == [
        "Inotify queue overflowed; filesystem events were lost"
    ]


async def test_snapshot__an_unreadable_file__is_a_problem_and_the_rest_is_read(top: pathlib.Path) -> None:
    (top / "a.yaml").mkdir()
    (top / "b.yaml").symlink_to("nowhere")
    (top / "c.yaml").write_text("1")
    async with directory.DirectorySource(str(top)) as source:
        snapshot = await api.settled(source)
    assert [(file.path, file.problem) for file in snapshot.files] == [
        (f"{top}/b.yaml", files.DANGLING),
        (f"{top}/c.yaml", ""),
    ]


BLIND = """
import asyncio, logging, pathlib, sys
from agent.sources import directory

async def main(top, limit):
    limit.write_text("0")
    source = directory.DirectorySource(str(top), directory.WatchIntervals(rescan=0.2))
    hints = source.changes()
    for _ in range(3):
        await anext(hints)
    limit.write_text("100")
    while source._watch._armed is None:
        await anext(hints)
    (top / "web.yaml").write_text("1")
    await anext(hints)
    await hints.aclose()

logging.basicConfig(level=logging.INFO, format="%(message)s")
asyncio.run(main(pathlib.Path(sys.argv[1]), pathlib.Path("/proc/sys/user") / sys.argv[2]))
"""


@pytest.mark.root
@pytest.mark.parametrize(
    ("limit", "sysctl"),
    [
        ("max_inotify_instances", "fs.inotify.max_user_instances"),
        ("max_inotify_watches", "fs.inotify.max_user_watches"),
    ],
)
def test_changes__no_watches_are_left__says_which_limit_once_and_watches_again_later(
    top: pathlib.Path, limit: str, sysctl: str
) -> None:
    program = ["unshare", "--user", "--map-root-user", sys.executable, "-c", BLIND, str(top), limit]
    completed = subprocess.run(program, capture_output=True, text=True, check=False, cwd=instances.REPOSITORY)
    assert completed.returncode == 0, completed.stderr
    blind, recovered = completed.stderr.splitlines()
    assert blind.endswith(f"until it is; raise {sysctl}")
    assert recovered == f"{top} is watched again"
