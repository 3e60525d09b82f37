"""Which test runs which line, and how long it takes: measured again for a file of tests that has changed."""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Iterable

import coverage
import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "build/mutants/coverage.json"


@dataclasses.dataclass(slots=True)
class Measured:
    """What one file of tests does."""

    stamp: str
    """Of the file and all that it may run."""
    durations: dict[str, float]
    """Seconds by test; only of those that pass."""
    lines: dict[str, dict[int, list[str]]]
    """Tests by line by module."""


class CoverageMap:
    """What is known of all files of tests."""

    def __init__(self, by_file: dict[str, Measured]) -> None:
        """Begin with what is known."""
        self.by_file = by_file

    def durations(self) -> dict[str, float]:
        """Return how long each test takes that passes, in seconds."""
        return {test: seconds for file in self.by_file.values() for test, seconds in file.durations.items()}

    def tests_of(self, path: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run one of a module's lines and pass."""
        wanted = set(lines)
        return {
            test
            for file in self.by_file.values()
            for line, tests in file.lines.get(path, {}).items()
            if line in wanted
            for test in tests
            if test in file.durations
        }


def load() -> CoverageMap:
    """Read what was measured before."""
    if not FILE.exists():
        return CoverageMap({})
    return CoverageMap(
        {
            file: Measured(
                fields["stamp"],
                fields["durations"],
                {path: {int(line): tests for line, tests in lines.items()} for path, lines in fields["lines"].items()},
            )
            for file, fields in json.loads(FILE.read_text()).items()
        }
    )


def save(measured: CoverageMap) -> None:
    """Write what is known now."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    temporary = FILE.with_suffix(".new")
    temporary.write_text(json.dumps({file: dataclasses.asdict(fields) for file, fields in measured.by_file.items()}))
    temporary.replace(FILE)


def stamps(files: Iterable[str]) -> dict[str, str]:
    """Return the stamp of each file of tests: any change of the agent or of what tests share makes all of them new."""
    shared = [
        *(ROOT / "agent").rglob("*.py"),
        *(ROOT / "tests").glob("*.py"),
        *(ROOT / "tests/unit").rglob("conftest.py"),
    ]
    common = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(shared)))
    found = {}
    for file in files:
        own = common.copy()
        own.update((ROOT / file).read_bytes())
        found[file] = own.hexdigest()
    return found


def measure(items: list[pytest.Item], folders: Iterable[str]) -> CoverageMap:
    """Run tests, and take down what each of them runs in the folders. The process is of no other use then."""
    recorder = coverage.Coverage(
        data_file=None, config_file=False, include=[f"{ROOT / folder}/*" for folder in folders], messages=False
    )
    by_file: dict[str, Measured] = {}
    recorder.start()
    for item, following in zip(items, [*items[1:], None], strict=True):
        recorder.switch_context(item.nodeid)
        before = item.session.testsfailed
        begun = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        file = by_file.setdefault(item.nodeid.partition("::")[0], Measured("", {}, {}))
        if item.session.testsfailed == before:
            file.durations[item.nodeid] = round(time.monotonic() - begun, 4)
        item.session.shouldfail = False
    recorder.stop()
    data = recorder.get_data()
    for path in data.measured_files():
        name = str(pathlib.Path(path).relative_to(ROOT))
        for line, contexts in data.contexts_by_lineno(path).items():
            for test in filter(None, contexts):
                by_file[test.partition("::")[0]].lines.setdefault(name, {}).setdefault(line, []).append(test)
    return CoverageMap(by_file)
