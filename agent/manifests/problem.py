"""What is wrong with a manifest: where, what, and how to mend it."""

import dataclasses


@dataclasses.dataclass(frozen=True, order=True, slots=True)
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
        """Give the line that people see."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column}: {self.message}{hint}"
