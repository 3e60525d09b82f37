"""Every case that fuzzing has found, or that it begins with, keeps its promise; and the fuzzing itself still works."""

import pathlib
import subprocess
import sys

import pytest

from tests.fuzz import targets

CORPUS = pathlib.Path(__file__).with_name("corpus")
CASES = sorted(path for path in CORPUS.glob("*/*"))


@pytest.mark.root
@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case__found_once__keeps_its_promise(case: pathlib.Path) -> None:
    assert targets.TARGETS[case.parent.name](case.read_bytes()) is None


def test_corpus__has_cases_for_every_target_and_no_other() -> None:
    assert {path.parent.name for path in CASES} == set(targets.TARGETS) == {path.name for path in CORPUS.iterdir()}


@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        *(("reference", 20_000), ("manifest", 20_000), ("listing", 20_000), ("tar", 1_000)),
        *(("dockerfile", 5_000), ("dockerignore", 10_000)),
    ],
)
def test_fuzzing__for_a_few_seconds__finds_nothing(tmp_path: pathlib.Path, name: str, runs: int) -> None:
    """The seed is fixed, so that the suite is the same each time; searching is done by hand, for longer."""
    pytest.importorskip("atheris", reason="atheris is not made for this Python yet")
    command = [sys.executable, "-m", "tests.fuzz", name, f"-runs={runs}", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    ended = subprocess.run(command, check=False, cwd=CORPUS.parents[2], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f"Done {runs} runs" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_fuzzing__of_what_there_is_not__says_how_it_is_used() -> None:
    pytest.importorskip("atheris", reason="atheris is not made for this Python yet")
    command = [sys.executable, "-m", "tests.fuzz", "nothing"]
    ended = subprocess.run(command, check=False, cwd=CORPUS.parents[2], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.endswith(
        "usage: python -m tests.fuzz reference|manifest|listing|dockerfile|dockerignore|tar [libFuzzer's options]\n"
    )
