"""Ending what is left in a real cgroup: whoever is in it or below it is killed, and it is gone."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from agent.engine.cgroups import hierarchy, tree

pytestmark = pytest.mark.root


@pytest.fixture
def cgroup() -> Iterator[str]:
    """Make a cgroup for processes, with one below it, where this host limits processes."""
    name = f"trimtab-test-{os.getpid()}"
    directory = hierarchy.of_host().directory("pids", name)
    assert directory is not None
    (directory / "below").mkdir(parents=True)
    yield name
    tree.remove(directory)


def sleeper(directory: pathlib.Path, script: str = "exec sleep 1000") -> "subprocess.Popen[bytes]":
    """Start a process that is in a cgroup before it does anything."""
    return subprocess.Popen(["/bin/sh", "-c", f"echo $$ > {directory}/cgroup.procs && echo in && {script}"], stdout=-1)


async def test_end__processes_in_it_and_below_it__are_killed_and_it_is_gone(cgroup) -> None:
    host = hierarchy.of_host()
    directory = host.directory("pids", cgroup)
    assert directory is not None
    with sleeper(directory) as first, sleeper(directory / "below") as second:
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline() == b"in\n"
        await tree.end(host, cgroup)
        assert (first.wait(), second.wait()) == (-9, -9)
    assert tree.itself(host, cgroup) == []


async def test_end__forks_while_it_is_killed__nothing_survives(cgroup) -> None:
    host = hierarchy.of_host()
    directory = host.directory("pids", cgroup)
    assert directory is not None
    (directory / "pids.max").write_text("20")
    forks = "while :; do (while :; do sleep 0.001; done) & sleep 0.001; done 2> /dev/null"
    with sleeper(directory, forks) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        await tree.end(host, cgroup)
        assert process.wait() == -9
    assert tree.itself(host, cgroup) == []


async def test_end__nothing_there__is_no_failure() -> None:
    await tree.end(hierarchy.of_host(), "trimtab-test-nothing")
    assert tree.itself(hierarchy.of_host(), "trimtab-test-nothing") == []
