"""The run as a whole: each part has its turn, whatever becomes of the others."""

import json
import pathlib
import sys
from typing import Any

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import figures


def measure(name: str) -> bench.Measurement:
    """Return a part that takes as many samples as it is told rounds."""
    return lambda _, rounds: [figures.Figure(name, "s", tuple(map(float, range(1, rounds + 1))))]


def fail(folder: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Fail as a part does whose daemon does not answer."""
    raise RuntimeError(f"no daemon in {folder} in {rounds} rounds")


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """The folder of results, with three parts of which the second one fails."""
    monkeypatch.setattr(bench, "PARTS", {"first": measure("a"), "second": fail, "third": measure("c")})
    monkeypatch.setattr(bench, "OUTPUT", tmp_path / "bench" / "results.json")
    return bench.OUTPUT


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, dict[str, Any]]:
    """Run the command, and return its exit code and what it has written."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    return bench.main(), json.loads(bench.OUTPUT.read_text())


@pytest.mark.usefixtures("output")
def test_main__a_part_fails__the_others_are_measured_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run(monkeypatch, "--rounds", "2")
    assert code == 1
    assert document["failed"] == ["second"]
    assert [(figure["name"], figure["ours"]) for figure in document["figures"]] == [("a", [1, 2]), ("c", [1, 2])]
    printed = capsys.readouterr()
    assert "no daemon in" in printed.err
    assert printed.out.splitlines()[-1] == f"0 s in all; written to {bench.OUTPUT}; failed: second"


@pytest.mark.usefixtures("output")
def test_main__says_how_long_each_part_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, document = run(monkeypatch)
    assert list(document["seconds"]) == ["first", "second", "third"]
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.endswith(": 0 s")] == ["first: 0 s", "second: 0 s", "third: 0 s"]


@pytest.mark.usefixtures("output")
def test_main__only__runs_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = run(monkeypatch, "--only", "third", "first")
    assert code == 0
    assert [figure["name"] for figure in document["figures"]] == ["c", "a"]


@pytest.mark.parametrize(("seconds", "words"), [(7.4, "7 s"), (59.6, "1 min 0 s"), (754.0, "12 min 34 s")])
def test_duration__is_in_minutes_and_seconds(seconds: float, words: str) -> None:
    assert bench._duration(seconds) == words
