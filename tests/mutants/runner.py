"""Runs each mutant's tests in a fork of a process that has imported and collected everything."""

import contextlib
import dataclasses
import gc
import hashlib
import os
import pathlib
import pickle
import resource
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable

import pytest

from tests.mutants import coverage_map, live, mutations
from tests.mutants.results import Outcome, Result, Results

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("plan", "converge", "manifests", "observe")
FOLDERS = tuple(f"agent/{room}" for room in ROOMS)
OTHERS = 2.0
"""Seconds for tests of other rooms than the mutant's own, the quickest first."""
COLD = 10.0
"""Seconds for the tests of what is evaluated once, those files first that run most of its module."""
COLD_KILL = "a test of another process"
PATIENCE = 40.0
"""Seconds until a mutant is said never to end: all of its tests together take some."""
ERRORS = ROOT / "build/mutants/error.txt"
"""Where a fork says why it failed that was to end by itself."""
MEMORY = 4 * 1024**3
"""Bytes of address space for one that collects without end."""


@dataclasses.dataclass(eq=False)
class Plugin:
    """Takes pytest's place once it has collected: instead of running all tests it runs mutants."""

    mutants: list[mutations.Mutant]
    sources: dict[str, bytes]
    results: Results
    say: Callable[[str], None]
    failed: list[str] = dataclasses.field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what fails."""
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure what is not known yet, and run all mutants that are not."""
        if session.testsfailed:
            raise session.Interrupted("there are tests that cannot be collected")
        warm = _Warm(self, {item.nodeid: item for item in session.items})
        warm.measure()
        order = sorted(self.mutants, key=lambda mutant: not mutant.scope)  # what takes a new process comes last
        for number, mutant in enumerate(order, 1):
            result = warm.run(mutant)
            if result.outcome is not Outcome.KILLED:
                self.say(f"[{number}/{len(self.mutants)}] {result.outcome}: {mutant.path}:{mutant.line}")
            elif number % 100 == 0:
                self.say(f"[{number}/{len(self.mutants)}]")
        return True


class _Warm:
    """The process that is forked."""

    def __init__(self, plugin: Plugin, items: dict[str, pytest.Item]) -> None:
        self.plugin, self.items = plugin, items
        self.functions = live.Functions(ROOT)
        self.map = coverage_map.load()
        self.durations: dict[str, float] = {}
        self.stamps: dict[str, str] = {}

    def measure(self) -> None:
        """Bring the map of coverage up to date, in a fork."""
        files = {item.partition("::")[0] for item in self.items}
        self.stamps = coverage_map.stamps(files)
        known = {
            file: measured for file, measured in self.map.by_file.items() if self.stamps.get(file) == measured.stamp
        }
        new = [item for name, item in self.items.items() if name.partition("::")[0] not in known]
        if new:
            self.plugin.say(f"Measuring what {len(new)} tests run …")
            code, answer = _forked(lambda: pickle.dumps(coverage_map.measure(new, FOLDERS).by_file), None)
            if code != 0:
                raise RuntimeError(f"measuring failed: {ERRORS.read_text()}")
            for file, measured in pickle.loads(answer).items():  # noqa: S301 - our own child's
                measured.stamp = self.stamps[file]
                known[file] = measured
        self.map = coverage_map.CoverageMap(known)
        coverage_map.save(self.map)
        self.durations = self.map.durations()
        gc.collect()
        gc.freeze()  # or each fork's collections would copy all of it

    def run(self, mutant: mutations.Mutant) -> Result:
        """Return a mutant's outcome: as it is known, where nothing that it depends on has changed."""
        tests = self._tests(mutant)
        stamp = hashlib.sha256(repr([(test, self.stamps[test.partition("::")[0]]) for test in tests]).encode())
        before = self.plugin.results.get(mutant)
        if before is not None:
            is_dead = before.outcome is Outcome.TIMEOUT or before.test in self.items or before.test == COLD_KILL
            if is_dead or before.tests == stamp.hexdigest():
                return before
        outcome, test = self._outcome(mutant, tests)
        result = Result(mutant.identity, outcome, test, stamp.hexdigest())
        self.plugin.results.keep(result)
        return result

    def _tests(self, mutant: mutations.Mutant) -> list[str]:
        """Return the tests that run a mutant's lines: those of its own room first, the quickest first."""
        lines = range(mutant.line, mutant.last_line + 1)
        room = f"tests/unit/{mutant.path.split('/')[1]}/"
        covering = sorted(self.map.tests_of(mutant.path, lines) & self.items.keys(), key=self._cost)
        own = [test for test in covering if test.startswith(room)]
        others, spent = [], 0.0
        for test in covering:
            spent += 0.0 if test in own else self.durations[test]
            if test not in own and spent <= OTHERS:
                others.append(test)
        return own + others

    def _files(self, path: str) -> list[str]:
        """Return a module's own file of unit tests, and those that run most of it, as many as the time allows.

        Its own is the first even where it runs nothing of it: what a module defines is run by its import alone.
        """
        room = f"tests/unit/{path.split('/')[1]}/"
        mirror = _mirror(path)
        covering = {file: measured for file, measured in self.map.by_file.items() if path in measured.lines}
        order = sorted(covering, key=lambda file: (not file.startswith(room), -len(covering[file].lines[path]), file))
        if (ROOT / mirror).exists():
            order = [mirror, *(file for file in order if file != mirror)]
        files, spent = order[:1] or [room], 0.0
        for file in order[1:]:
            spent += sum(covering[file].durations.values())
            if spent <= COLD:
                files.append(file)
        return files

    def _cost(self, test: str) -> tuple[float, str]:
        return self.durations[test], test

    def _outcome(self, mutant: mutations.Mutant, tests: list[str]) -> tuple[Outcome, str]:
        source = self.plugin.sources[mutant.path]
        if not tests:  # it may run while its module is imported
            outcome, test = _cold(mutant, source, self._files(mutant.path))
            is_uncovered = outcome is Outcome.SURVIVED and mutant.scope
            return (Outcome.UNCOVERED, "") if is_uncovered else (outcome, test)
        code, answer = _forked(lambda: self._child(mutant, source, tests), PATIENCE)
        if code is None:
            return Outcome.TIMEOUT, ""
        if code == 1:
            raise RuntimeError(f"{mutant.path}:{mutant.line}: {ERRORS.read_text()}")
        if answer == b"cold":
            return _cold(mutant, source, self._files(mutant.path))
        if answer == b"passed":
            return Outcome.SURVIVED, ""
        return Outcome.KILLED, answer.decode() or (tests[0] if tests else "")  # no answer: it took the process down

    def _child(self, mutant: mutations.Mutant, source: bytes, tests: list[str]) -> bytes:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if not self.functions.put(mutant, source):
            return b"cold"
        items = [self.items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            except BaseException:  # noqa: BLE001 - one that ends pytest itself is noticed, too
                return item.nodeid.encode()
            if self.plugin.failed:
                return self.plugin.failed[0].encode()
        return b"passed"


def _mirror(path: str) -> str:
    """Return where a module's own unit tests are: ``tests/unit/`` has the folders of ``agent/``."""
    folder, _, name = path.removeprefix("agent/").rpartition("/")
    return f"tests/unit/{folder}/test_{name}"


def _cold(mutant: mutations.Mutant, source: bytes, files: list[str]) -> tuple[Outcome, str]:
    """Run files of tests in a new process, until a test fails."""
    if not files:
        return Outcome.UNCOVERED, ""
    command = [sys.executable, "-m", "tests.mutants.cold", mutant.path, "-x", "-q", "-p", "no:cacheprovider", *files]
    try:
        completed = subprocess.run(
            command, input=mutant.source(source), cwd=ROOT, capture_output=True, check=False, timeout=10 * PATIENCE
        )
    except subprocess.TimeoutExpired:
        return Outcome.TIMEOUT, ""
    return (Outcome.SURVIVED, "") if completed.returncode == 0 else (Outcome.KILLED, COLD_KILL)


def _forked(work: Callable[[], bytes], patience: float | None) -> tuple[int | None, bytes]:
    """Do something in a fork; return its exit code (``None``: it took too long) and its answer."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            os.close(reading)
            answer = work()
            with os.fdopen(writing, "wb") as file:
                file.write(answer)
            status = 0
        except BaseException:  # noqa: BLE001 - pytest's own, too
            ERRORS.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        ready = select.select([file], [], [], patience)[0]
        answer = file.read() if ready else b""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and what it has started
    _, status = os.waitpid(child, 0)
    return (os.waitstatus_to_exitcode(status) if ready else None), answer
