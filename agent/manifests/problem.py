"""Problems of manifests: where, what is wrong, and how to fix it."""

import dataclasses
from collections.abc import Iterable

from agent.kit import frozen


@frozen.value(order=True)
class Problem:
    """One mistake; prints as ``path:line:column: message (hint)``, which editors can follow."""

    path: str
    line: int
    """From 1."""
    column: int
    """From 1."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return ``path:line:column: message (hint)``."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column}: {self.message}{hint}"


class Mistake(Exception):
    """A mistake at a position; becomes a ``Problem`` once the path is known."""

    def __init__(self, position: tuple[int, int], message: str, hint: str) -> None:
        """Take line and column, from 1."""
        super().__init__(message)
        self.position, self.message, self.hint = position, message, hint

    def at(self, path: str) -> Problem:
        """Return the problem in a file."""
        return Problem(path, *self.position, self.message, self.hint)


def too_many_values(position: tuple[int, int]) -> Mistake:
    """Return the mistake of a file with more values than are read."""
    return Mistake(position, "the file has too many values, aliases counted wherever they are used", "split it")


def too_deep(position: tuple[int, int], depth: int) -> Mistake:
    """Return the mistake of a value that is nested too deep."""
    return Mistake(position, f"values are nested deeper than {depth}", "no manifest needs that")


MOST = 200
"""Most problems of one source that are reported; whoever has more fixes the first ones and runs again."""
_LONGEST_WORD = 60


@dataclasses.dataclass(slots=True)
class Findings:
    """Problems being collected: the first ``MOST``, and a count of the others."""

    first: list[Problem] = dataclasses.field(default_factory=list)
    more: int = 0
    next: Problem | None = None
    """The first problem that is not reported."""

    @property
    def full(self) -> bool:
        """Return whether further problems would only be counted."""
        return len(self.first) >= MOST and self.more > 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems up to ``MOST``; past that count one and leave the iterator unread."""
        for problem in problems:
            if len(self.first) < MOST:
                self.first.append(problem)
                continue
            self.next = self.next or problem
            self.more += 1
            return

    def count(self, more: int) -> None:
        """Count problems without their messages."""
        if more > 0:
            self.next = self.next or self.first[-1]
            self.more += more

    def reported(self) -> tuple[Problem, ...]:
        """Return the problems sorted by file and line; where there are more than ``MOST``, the last says how many."""
        problems = sorted(set(self.first))
        if self.next is not None:
            message = f"there are {self.more} more problems at least"
            summary = Problem(
                self.next.path, self.next.line, self.next.column, message, "mend the first ones, and look again"
            )
            problems.append(summary)
        return tuple(problems)


def shortened(word: str) -> str:
    """Return a word from a manifest, cut to fit in a line."""
    return word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}..."
