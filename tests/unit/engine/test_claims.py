"""One instance, one root, one run directory: whoever comes with another pair is refused, and nothing is touched."""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

import agent
from agent.engine import claims, layout, stamps
from agent.kit import locks, state_format

_LOCK = (  # as an earlier release's agent, which locks nothing but the file
    "import sys, pathlib; from agent.kit import locks;"
    "lock = locks.FileLock(pathlib.Path(sys.argv[1])).acquire(); print(flush=True); input()"
)


@pytest.fixture
def where(tmp_path: pathlib.Path) -> layout.Layout:
    return layout.of(tmp_path / "root", tmp_path / "run")


def _bundle(where: layout.Layout, cgroup: str = "") -> None:
    """Make a run directory look as if something ran."""
    bundle = where.bundles / "abc"
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps({"linux": {"cgroupsPath": f"/{cgroup or where.cgroup}/abc"}}))


async def _hold(where: layout.Layout, meanwhile: Callable[[], object] | None = None) -> None:
    """Hold an instance for a moment, or until somebody takes it away."""
    async with claims.held(where):
        if meanwhile is not None:
            meanwhile()
            await asyncio.sleep(10)


async def test_held__both_directories__are_locked_and_say_which_other_one_they_go_with(where: layout.Layout) -> None:
    async with claims.held(where):
        for directory in (where.root, where.run):
            assert json.loads((directory / "instance.json").read_text()) == {
                "version": 1,
                "release": agent.__version__,
                "root": str(where.root),
                "run": str(where.run),
            }
        assert claims.holder(where) == os.getpid()
        with pytest.raises(locks.LockedElsewhere, match=f"locked by process {os.getpid()}"):
            await _hold(where)
    assert claims.holder(where) is None
    await _hold(where)


async def test_held__by_a_newer_release_before__keeps_its_name_for_whoever_comes(where: layout.Layout) -> None:
    await _hold(where)
    stamp = json.loads((where.root / "instance.json").read_text())
    (where.root / "instance.json").write_text(json.dumps({**stamp, "release": "99.0.0"}))
    await _hold(where)
    assert json.loads((where.root / "instance.json").read_text())["release"] == "99.0.0"


async def test_held__of_a_higher_format__is_refused_by_everybody_and_left_as_it_is(where: layout.Layout) -> None:
    await _hold(where)
    stamp = json.loads((where.root / "instance.json").read_text())
    text = json.dumps({**stamp, "version": 2, "release": "99.0.0"})
    (where.root / "instance.json").write_text(text)
    with pytest.raises(state_format.NewerState, match=r"upgrade to trimtab 99\.0\.0, or give another --root"):
        await _hold(where)
    with pytest.raises(state_format.NewerState):
        stamps.check(where)
    assert (where.root / "instance.json").read_text() == text
    assert claims.holder(where) is None


async def test_held__the_lock_file_is_removed__nobody_else_gets_in(where: layout.Layout) -> None:
    async with claims.held(where):
        where.lock.unlink()
        assert claims.holder(where) == os.getpid()
        with pytest.raises(locks.LockedElsewhere, match=f"in use by process {os.getpid()}"):
            await _hold(where)


async def test_held__the_lock_file_is_removed__it_is_made_again(
    where: layout.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_INTERVAL", 0.01)
    async with claims.held(where):
        where.lock.unlink()
        while locks.FileLock(where.lock).holder() != os.getpid():  # noqa: ASYNC110 - that is what is waited for
            await asyncio.sleep(0.01)
        assert where.lock.exists()


@pytest.mark.parametrize("which", ["root", "run"])
async def test_held__a_directory_is_replaced__the_work_ends_and_says_why(
    where: layout.Layout, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(claims, "_INTERVAL", 0.01)
    directory = getattr(where, which)

    def replace() -> None:
        directory.rename(directory.with_name("elsewhere"))
        directory.mkdir()

    with pytest.raises(claims.ClaimLost, match="was removed or replaced while this agent ran"):
        await _hold(where, replace)
    assert asyncio.current_task() is not None


async def test_held__the_lock_is_another_processes_by_now__the_work_ends(
    where: layout.Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(claims, "_INTERVAL", 0.01)
    replaced = tmp_path / "replaced"
    command = [sys.executable, "-c", _LOCK, str(replaced)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: ASYNC220
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(claims.ClaimLost, match="not ours alone any more"):
                await _hold(where, lambda: replaced.rename(where.lock))
        finally:
            other.kill()


@pytest.mark.parametrize("runs", [False, True])
async def test_held__a_run_directory_of_another_root__is_refused_and_untouched(
    where: layout.Layout, tmp_path: pathlib.Path, runs: bool
) -> None:
    await _hold(where)
    if runs:
        _bundle(where)
    other = layout.of(tmp_path / "other", where.run)
    before = sorted(str(path) for path in where.run.rglob("*"))
    with pytest.raises(stamps.ForeignDirectory, match=f"belongs to another instance, that with --root {where.root}"):
        await _hold(other)
    with pytest.raises(stamps.ForeignDirectory):
        stamps.check(other)
    assert sorted(str(path) for path in where.run.rglob("*")) == before
    await _hold(where)


async def test_held__a_run_directory_without_stamp_in_which_strangers_run__is_refused(
    where: layout.Layout, tmp_path: pathlib.Path
) -> None:
    _bundle(where, "trimtab-0ther")
    with pytest.raises(stamps.ForeignDirectory, match="containers of another instance \\(trimtab-0ther\\)"):
        await _hold(where)
    del tmp_path


async def test_held__state_without_stamps_in_which_our_own_run__is_adopted(where: layout.Layout) -> None:
    where.root.mkdir()
    _bundle(where)
    await _hold(where)
    stamps.check(where)
    assert json.loads((where.root / "instance.json").read_text())["version"] == 1


async def test_held__containers_run_in_another_run_directory__is_refused(
    where: layout.Layout, tmp_path: pathlib.Path
) -> None:
    await _hold(where)
    _bundle(where)
    moved = layout.of(where.root, tmp_path / "run2")
    with pytest.raises(stamps.ForeignDirectory, match=f"run in {where.run}, not in {moved.run}"):
        await _hold(moved)


async def test_held__nothing_runs_in_the_former_run_directory__another_one_is_taken(
    where: layout.Layout, tmp_path: pathlib.Path
) -> None:
    await _hold(where)
    await _hold(layout.of(where.root, tmp_path / "run2"))
    with pytest.raises(locks.LockedElsewhere):
        async with claims.held(layout.of(where.root, tmp_path / "run2")):
            await _hold(where)


async def test_held__a_copied_root__is_refused(where: layout.Layout, tmp_path: pathlib.Path) -> None:
    await _hold(where)
    copy = layout.of(tmp_path / "copy", tmp_path / "run2")
    copy.root.mkdir()
    (copy.root / "instance.json").write_bytes((where.root / "instance.json").read_bytes())
    with pytest.raises(stamps.ForeignDirectory, match=f"was made as {where.root}"):
        await _hold(copy)


async def test_held__the_other_root_is_gone_and_nothing_runs__the_run_directory_is_taken(
    where: layout.Layout, tmp_path: pathlib.Path
) -> None:
    await _hold(where)
    where.root.rename(tmp_path / "gone")
    await _hold(layout.of(tmp_path / "other", where.run))
    assert str(tmp_path / "other") in (where.run / "instance.json").read_text()


async def test_held__stamps_that_cannot_be_understood__are_written_anew(where: layout.Layout) -> None:
    await _hold(where)
    for text in ("", "[]", '{"root": "/x"}', "\0\0"):
        (where.run / "instance.json").write_text(text)
        await _hold(where)
        assert json.loads((where.run / "instance.json").read_text())["version"] == 1
