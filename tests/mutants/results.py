"""What became of each mutant, kept so that a run goes on where another was ended; and which mutants may live."""

import collections
import dataclasses
import enum
import json
import pathlib
import tomllib
from collections.abc import Iterable

from tests.mutants import mutations

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "build/mutants/results.jsonl"
ACCEPTED = pathlib.Path(__file__).with_name("accepted.toml")
LIMIT = 5.0
"""Percent of a folder's mutants that may survive without being accepted: fewer than that."""


class Outcome(enum.StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    """It never ended: as good as killed."""
    SURVIVED = "survived"
    UNCOVERED = "uncovered"
    """No test runs the line."""


DEAD = frozenset({Outcome.KILLED, Outcome.TIMEOUT})


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One mutant's outcome."""

    mutant: str
    outcome: Outcome
    test: str = ""
    """Which killed it."""
    tests: str = ""
    """The stamp of those that did not."""


class Results:
    """All outcomes so far."""

    def __init__(self) -> None:
        """Read what earlier runs have kept."""
        self._by_mutant: dict[str, Result] = {}
        lines = FILE.read_text().splitlines() if FILE.exists() else []
        for line in lines:
            fields = json.loads(line)
            result = Result(fields["mutant"], Outcome(fields["outcome"]), fields["test"], fields["tests"])
            self._by_mutant[result.mutant] = result

    def get(self, mutant: mutations.Mutant) -> Result | None:
        """Return a mutant's outcome, if it is known."""
        return self._by_mutant.get(mutant.identity)

    def keep(self, result: Result) -> None:
        """Keep an outcome, at once on the disk."""
        self._by_mutant[result.mutant] = result
        FILE.parent.mkdir(parents=True, exist_ok=True)
        with FILE.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")


@dataclasses.dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that may live, and why."""

    path: str
    function: str
    before: str
    after: str
    reason: str


def accepted(file: pathlib.Path = ACCEPTED) -> list[Survivor]:
    """Return the mutants that may live.

    Raises:
        ValueError: One has no reason.
    """
    entries = tomllib.loads(file.read_text()).get("survivor", [])
    survivors = [Survivor(**entry) for entry in entries]
    for survivor in survivors:
        if not survivor.reason.strip():
            raise ValueError(f"{file.name}: {survivor.path}: {survivor.before!r} has no reason")
    return survivors


def is_accepted(mutant: mutations.Mutant, source: bytes, survivors: Iterable[Survivor]) -> Survivor | None:
    """Return the entry by which a mutant may live."""
    before, after = mutant.change(source)
    for survivor in survivors:
        if (survivor.path, survivor.function) == (mutant.path, mutant.scope) and (before, after) == (
            survivor.before,
            survivor.after,
        ):
            return survivor
    return None


@dataclasses.dataclass(slots=True)
class Figures:
    """A folder's mutants, counted."""

    mutants: int = 0
    killed: int = 0
    accepted: int = 0
    survivors: int = 0

    @property
    def percent(self) -> float:
        """Return how many survive without being accepted."""
        return 100 * self.survivors / self.mutants if self.mutants else 0.0

    @property
    def is_too_many(self) -> bool:
        """Return whether more survive than may."""
        return self.percent >= LIMIT


def table(by_folder: dict[str, Figures]) -> str:
    """Return the figures of all folders as text."""
    lines = [f"{'folder':<20} {'mutants':>8} {'killed':>8} {'accepted':>9} {'survivors':>10} {'%':>6}"]
    for folder, figures in sorted(by_folder.items()):
        counts = f"{figures.mutants:>8} {figures.killed:>8} {figures.accepted:>9} {figures.survivors:>10}"
        lines.append(f"{folder:<20} {counts} {figures.percent:>6.1f}")
    return "\n".join(lines)


def counted() -> dict[str, Figures]:
    """Return a table to count in."""
    return collections.defaultdict(Figures)
