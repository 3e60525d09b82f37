"""What is wrong in a Dockerfile, and where."""

import difflib
from collections.abc import Iterable

Position = tuple[int, int]
"""Line and column, from 1."""


class Mistake(Exception):
    """A mistake at a place in a Dockerfile."""

    def __init__(self, position: Position, message: str, hint: str = "") -> None:
        """Take line and column, from 1."""
        super().__init__(message)
        self.position, self.message, self.hint = position, message, hint

    def __str__(self) -> str:
        """Return ``line:column: message (hint)``."""
        line, column = self.position
        hint = f" ({self.hint})" if self.hint else ""
        return f"{line}:{column}: {self.message}{hint}"


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return a hint for a word that is none of some names: the nearest of them, or all."""
    choices = sorted(names)
    near = difflib.get_close_matches(word, choices, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(choices)}"
