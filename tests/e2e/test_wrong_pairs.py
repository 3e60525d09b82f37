"""Another root with a run directory that somebody lives in: refused by every command, and nothing of his is touched."""

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

from tests.e2e import command

pytestmark = pytest.mark.root
_MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: {{name: quickstart}}, command: [sleep, '600'], stop: {{gracePeriod: 0s}}}}
"""
)


@pytest.fixture
def folder(native: command.Trimtab, quickstart_image: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = native.home / "manifests"
    (folder / "all.yaml").write_text(_MANIFESTS.format(image=quickstart_image))
    return folder


@pytest.mark.parametrize("runtime", ["native", "docker", "memory"])
def test_another_root__with_the_run_directory_of_a_live_agent__is_refused_and_ends_nothing(
    native: command.Trimtab, folder: pathlib.Path, runtime: str
) -> None:
    with native.running(folder) as agent:
        agent.assert_ready()
        before = native.output("observe")["observed"]["containers"]
        agent.stop()  # also where no agent is at work just now
        beside = dataclasses.replace(native, environment={**native.environment, "DOCKER_HOST": "tcp://127.0.0.1:9"})
        other = ("--root", native.home / "other", "--runtime", runtime)
        for words in (("apply", folder), ("run", "--once", folder), ("plan", folder), ("observe",), ("delete", folder)):
            completed = beside(*other, *words)
            assert completed.returncode == 1, words
            assert f"{native.home}/run belongs to another instance" in completed.stderr, (words, completed.stderr)
            assert f"use --root {native.home}/root" in completed.stderr
    after = native.output("observe")["observed"]["containers"]
    assert [(container["id"], container["pid"]) for container in after] == [
        (container["id"], container["pid"]) for container in before
    ]


def test_another_run_directory__than_that_in_which_containers_run__is_refused(
    native: command.Trimtab, folder: pathlib.Path
) -> None:
    assert native("apply", folder).returncode == 0
    before = native.output("observe")["observed"]["containers"]
    for words in (("apply", folder), ("plan", folder), ("status",)):
        completed = native("--run-dir", native.home / "run2", *words)
        assert completed.returncode == 1
        assert f"use --run-dir {native.home}/run" in completed.stderr, completed.stderr
    assert native.output("observe")["observed"]["containers"] == before


def test_the_lock_file_is_removed__a_second_agent_does_not_get_in(
    native: command.Trimtab, folder: pathlib.Path
) -> None:
    with native.running(folder) as agent:
        agent.assert_ready()
        (native.home / "root" / "lock").unlink()
        completed = native("run", folder)
        assert completed.returncode == 1
        assert f"process {agent.pid}" in completed.stderr
        command.assert_eventually((native.home / "root" / "lock").exists, "the lock is made again")
        assert agent.stop() == 0
