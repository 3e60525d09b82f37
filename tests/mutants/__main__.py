"""Mutation testing: would the unit tests notice? ``make mutants [OF="agent/plan agent/observe/relist.py"]``.

``python -m tests.mutants [--sample N --seed S] [--fresh] [PATH...]``. Outcomes are kept below ``build/mutants``: a
run that was ended goes on where it was, and only what has changed is run again. Survivors that are as they should be
are listed in ``accepted.toml``, each with its reason. Exits with 1 where others are 5 % or more of a folder's
mutants, or where an accepted one does not exist any more.

Neither mutmut 3 nor cosmic-ray: mutmut leaves out decorated functions (properties, cached properties, validators) and
tables at a module's level, where many of this code's rules are; cosmic-ray starts a new pytest for each mutant, which
takes seconds. Here a mutant costs a fork and the tests that run its line, which is some tenths of a second.
"""

import argparse
import os
import pathlib
import random
import sys

import pytest

from tests.mutants import mutations, results, runner

ROOT = pathlib.Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Would the unit tests notice?")
    parser.add_argument(
        "paths", nargs="*", default=runner.FOLDERS, metavar="PATH", help="a folder or file of the agent"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="only so many mutants, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have kept")
    options = parser.parse_args(arguments)
    if options.fresh:
        results.FILE.unlink(missing_ok=True)
    os.nice(10)
    os.chdir(ROOT)
    sources = _sources(options.paths)
    mutants = [mutant for path, source in sources.items() for mutant in mutations.of_source(path, source)]
    drawn = mutants
    if options.sample is not None:
        drawn = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))  # noqa: S311
    say = _Terminal()
    plugin = runner.Plugin(drawn, sources, results.Results(), say)
    folders = [f"tests/unit/{room}" for room in runner.ROOMS]
    code = pytest.main(["-q", "-p", "no:cacheprovider", *folders], plugins=[plugin])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        say(f"pytest ended with {code}: run {' '.join(folders)} to see why")
        return 1
    return _report(drawn, sources, plugin.results, say, is_whole=drawn is mutants)


class _Terminal:
    """Writes lines to where the output went before pytest captured it, and sends what tests write nowhere."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", buffering=1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def __call__(self, line: str) -> None:
        self._file.write(f"{line}\n")


def _sources(paths: list[str]) -> dict[str, bytes]:
    files = [
        file for path in paths for file in ([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("*.py"))
    ]
    if not files:
        raise SystemExit(f"there are no modules in {' '.join(paths)}")
    return {str(file.relative_to(ROOT)): file.read_bytes() for file in sorted(files)}


def _report(
    mutants: list[mutations.Mutant],
    sources: dict[str, bytes],
    known: results.Results,
    say: _Terminal,
    *,
    is_whole: bool,
) -> int:
    """Say what survives, and whether that is too much."""
    survivors = results.accepted()
    used, by_folder = set(), results.counted()
    for mutant in mutants:
        result, source = known.get(mutant), sources[mutant.path]
        figures = by_folder["/".join(mutant.path.split("/")[:2])]
        figures.mutants += 1
        entry = results.is_accepted(mutant, source, survivors)
        if entry is not None:
            used.add(entry)
        if result is not None and result.outcome in results.DEAD:
            figures.killed += 1
        elif entry is not None:
            figures.accepted += 1
        else:
            figures.survivors += 1
            outcome = "not run" if result is None else result.outcome
            say(f"\n{mutant.path}:{mutant.line}: {outcome} in {mutant.scope or 'the module'}\n{mutant.diff(source)}")
    stale = [entry for entry in survivors if is_whole and entry.path in sources and entry not in used]
    for entry in stale:
        say(f"accepted.toml: {entry.path}: there is no such mutant any more: {entry.before!r} -> {entry.after!r}")
    say(f"\n{results.table(by_folder)}")
    return 1 if stale or any(figures.is_too_many for figures in by_folder.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
