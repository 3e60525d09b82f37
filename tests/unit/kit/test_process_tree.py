"""A program is killed with all that it has started, and nothing else is."""

import os
import select
import signal
import subprocess

import pytest

from agent.kit import process_tree


def started(script: str) -> tuple["subprocess.Popen[bytes]", list[int]]:
    """Run a shell script until it has told the pids of what it has started."""
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        return process, [int(word) for word in output.readline().split()]


def assert_ends(descriptor: int) -> None:
    """Assert that a process, by its pidfd, ends: the kernel carries a kill out soon, not before ``kill`` returns."""
    with os.fdopen(descriptor):
        assert select.select([descriptor], [], [], 5)[0]


@pytest.mark.parametrize("deeper", ["", "setsid "], ids=["of its session", "of another session"])
def test_kill__a_program__ends_its_descendants_but_not_others_of_the_session(deeper: str) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        process, children = started(f"{deeper}sh -c 'sleep 60 & a=$!; sleep 60 & echo $a $! $$; wait'; true")
        descriptors = [os.pidfd_open(child) for child in children]
        process_tree.kill(process.pid)
        assert process.wait(5) == -signal.SIGKILL
        assert len(children) == 3
        for descriptor in descriptors:
            assert_ends(descriptor)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_kill__stopped_and_deaf_ones__end_as_well() -> None:
    process, children = started("trap '' TERM INT; sleep 60 & kill -STOP $!; echo $!; wait")
    descriptors = [os.pidfd_open(child) for child in children]
    process_tree.kill(process.pid)
    process.wait(5)
    assert descriptors
    for descriptor in descriptors:
        assert_ends(descriptor)


def test_kill__no_such_process__is_said() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        process_tree.kill(process.pid)
    with pytest.raises(ProcessLookupError):
        process_tree.kill(2**22 + 1)


def test_kill__ourselves_are_spared__though_of_the_session() -> None:
    process, _ = started("sleep 60 & echo $!; wait")
    assert os.getsid(process.pid) == os.getsid(0)
    process_tree.kill(process.pid)
    process.wait(5)
