"""The doctor looks at what the chosen runtime needs, and at nothing else."""

import json
import pathlib

import pytest

from agent.cli import main


def checks(
    capsys: pytest.CaptureFixture[str], runtime: str, root: pathlib.Path
) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and the checks by their names."""
    code = main.main(["--root", str(root), "--runtime", runtime, "doctor", "-o", "json"])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_doctor__of_the_memory_runtime__tries_nothing_of_the_kernel(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, by_name = checks(capsys, "memory", tmp_path)
    assert (code, set(by_name)) == (0, {"git", "disk", "records", "memory runtime", "admission"})


def test_doctor__of_docker_that_does_not_answer__says_where_it_was_asked(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    code, by_name = checks(capsys, "docker", tmp_path)
    assert (code, set(by_name)) == (1, {"git", "disk", "records", "docker runtime", "admission"})
    assert f"{tmp_path}/docker.sock" in by_name["docker runtime"]["detail"]
    assert not by_name["docker runtime"]["ok"]
