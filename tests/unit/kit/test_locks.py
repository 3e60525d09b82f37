"""Who holds a lock between programs, told without touching it."""

import os
import pathlib
import subprocess
import sys

import pytest

from agent.kit import locks

HOLD = """
import pathlib, sys
from agent.kit import locks
locks.FileLock(pathlib.Path(sys.argv[1])).acquire()
print(flush=True)
input()
"""


def test_holder__nobody_has_it__is_nobody(tmp_path: pathlib.Path) -> None:
    assert locks.FileLock(tmp_path / "lock").holder() is None
    lock = locks.FileLock(tmp_path / "lock").acquire()
    lock.release()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert lock.holder() is None


def test_holder__this_process_has_it__is_this_one(tmp_path: pathlib.Path) -> None:
    lock = locks.FileLock(tmp_path / "lock").acquire()
    assert locks.FileLock(tmp_path / "lock").holder() == os.getpid()
    assert locks.FileLock(tmp_path / "other").holder() is None
    lock.release()


def test_holder__another_process_has_it__is_that_one_for_as_long_as_it_lives(tmp_path: pathlib.Path) -> None:
    lock = locks.FileLock(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            assert lock.holder() == other.pid
        finally:
            other.kill()
    assert lock.holder() is None


@pytest.mark.root
def test_holder__the_same_inode_number_on_another_file_system__is_nobodys(tmp_path: pathlib.Path) -> None:
    """The root of every tmpfs has the same number."""
    script = (
        "import pathlib, subprocess, sys; sys.path.insert(0, sys.argv[1]); from agent.kit import locks\n"
        "ours, theirs = (pathlib.Path(sys.argv[2], name) for name in ('ours', 'theirs'))\n"
        "for path in (ours, theirs):\n"
        "    path.mkdir(); subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', str(path)], check=True)\n"
        "assert ours.stat().st_ino == theirs.stat().st_ino\n"
        "held = locks.DirectoryLock(theirs).acquire()\n"
        "print(locks.DirectoryLock(ours).holder(), locks.DirectoryLock(theirs).holder() is not None)\n"
    )
    command = [
        "unshare",
        "--mount",
        sys.executable,
        "-c",
        script,
        str(pathlib.Path(__file__).parents[3]),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=15)
    assert (done.stdout, done.stderr) == ("None True\n", "")
