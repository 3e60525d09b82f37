"""Bad manifests while the agent runs: their place is told everywhere, and what runs goes on as it was last good."""

import os
import pathlib
import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import bad_day, command

pytestmark = pytest.mark.root

GROWTH = 48 * 1024 * 1024
"""Bytes that reading a file may add to the agent: far less than what the bomb or the large file would be."""


def _bomb() -> bytes:
    """Nine levels of nine aliases each: some bytes that stand for billions of values."""
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        levels.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(levels).encode()


def _large(path: pathlib.Path) -> None:
    """Make 100 MiB that take no place on the disk."""
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)


def _bytes(data: bytes) -> Callable[[pathlib.Path], None]:
    return lambda path: path.write_bytes(data) and None


BAD: dict[str, tuple[Callable[[pathlib.Path], None], str, str]] = {
    "a syntax error": (_bytes(b"kind: Container\nspec: [\n"), "3:1", "this is not YAML"),
    "a misspelt field": (
        _bytes(b"apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: x}\nspecs: {}\n"),
        "4:1",
        "specs",
    ),
    "a YAML bomb": (_bytes(_bomb()), r"\d+:\d+", "the file has too many values"),
    "a binary file": (_bytes(b"\x7fELF\2\1\1\0" + bytes(range(256)) * 64), "1:8", "a NUL byte"),
    "a NUL byte": (_bytes(b"kind: Container\nmeta\0data: {}\n"), "2:5", "a NUL byte"),
    "Latin-1": (_bytes(b"kind: Container\nname: caf\xe9\n"), "2:10", "not UTF-8"),
    "100 MB": (_large, "1:1", "too large"),
}


@pytest.fixture(scope="module")
def steady(
    tmp_path_factory: pytest.TempPathFactory, quickstart_image: pathlib.Path
) -> Iterator[tuple[bad_day.BadDay, int]]:
    """An agent that has everything as declared, for all of these tests: none of them may change that. And its pid."""
    home = tmp_path_factory.mktemp("steady")
    (home / "config.yaml").touch()
    (home / "manifests").mkdir()
    settings = {"CONFIG": home / "config.yaml", "ROOT": home / "root", "RUN_DIR": home / "run", "RUNTIME": "native"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
    trimtab = command.Trimtab(home, kept | {f"TRIMTAB_{name}": str(value) for name, value in settings.items()})
    with bad_day.begun(trimtab, quickstart_image, bad_day.SLEEP) as day:
        day.assert_recovers()
        yield day, day.pid("bad")
        day.assert_recovers()
    assert trimtab("delete", home / "manifests").returncode == 0
    assert trimtab.instance.left_on_the_host() == []


@pytest.mark.parametrize("kind", BAD)
def test_input__bad_while_the_agent_runs__is_told_with_its_place_and_everything_goes_on(
    steady: tuple[bad_day.BadDay, int], kind: str
) -> None:
    day, pid = steady
    write, position, message = BAD[kind]
    rejected = day.agent.metric('trimtab_source_reads_total{result="rejected"}') or 0.0
    memory = day.agent.metric("process_resident_memory_bytes") or 0.0
    path = day.folder / "broken.yaml"
    try:
        write(path)
        day.agent.assert_shows("trimtab_source_problems", 1.0)
        assert_reported(day, rf"{re.escape(str(path))}:{position}: .*{message}")
        assert (day.agent.metric('trimtab_source_reads_total{result="rejected"}') or 0.0) > rejected
        assert (day.agent.metric("process_resident_memory_bytes") or 0.0) < memory + GROWTH
        assert day.trimtab.is_ready("Container/bad")
    finally:
        path.unlink()
    day.agent.assert_shows("trimtab_source_problems", 0.0)
    day.agent.assert_ready()
    assert day.pid("bad") == pid


def assert_reported(day: bad_day.BadDay, pattern: str) -> None:
    """Find a problem where people look: in the status, for readiness, and in the log."""
    problems = day.trimtab.output("status")["problems"]
    assert [problem for problem in problems if re.search(pattern, problem)], problems
    status, body = day.agent.get("/readyz")
    assert status == 503
    assert re.search(pattern, body), body
    assert any(re.search(pattern, str(event)) for event in day.agent.events())
