"""A program that leaves another one behind: whose exit code is whose."""

import pathlib

import pytest

from agent.kit import isolation, processes

DETACHES = 'sh -c "{script}" & echo $! > {pid_file}'


def run(tmp_path: pathlib.Path, command: str) -> processes.Completed:
    """Run a command under the reaper."""
    __import__("agent.kit.reaper")
    words = isolation.python("agent.kit.reaper", str(tmp_path / "pid"), "/bin/sh", "-c", command)
    return processes.run_blocking(words, processes.Options(timeout=15))


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)])
def test_program_that_was_left_behind__its_code_is_told(tmp_path: pathlib.Path, script: str, code: int) -> None:
    command = DETACHES.format(script=f"sleep 0.1; {script}".replace("$", "\\$"), pid_file=tmp_path / "pid")
    assert run(tmp_path, command).returncode == code


def test_program_that_leaves_nothing_behind__its_own_code_is_told(tmp_path: pathlib.Path) -> None:
    completed = run(tmp_path, "echo out; echo no >&2; exit 5")
    assert (completed.returncode, completed.stdout, completed.stderr) == (5, b"out\n", b"no\n")


def test_what_keeps_the_streams__is_not_waited_for(tmp_path: pathlib.Path) -> None:
    script = f"sleep 1000 & echo \\$! > {tmp_path}/left; exit 4"
    assert run(tmp_path, DETACHES.format(script=script, pid_file=tmp_path / "pid")).returncode == 4
    processes.run_blocking(["kill", "-9", (tmp_path / "left").read_text().strip()]).check()
