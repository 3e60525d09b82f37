"""Who holds a lock between programs, told without touching it."""

import os
import pathlib
import subprocess
import sys

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
