"""What is measured, and how it is told."""

import dataclasses
import os
import statistics
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: samples of ours, and of theirs where there is something to compare with."""

    name: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...] = ()
    reach: str = ""
    """What it should be, as people say it."""

    @property
    def median(self) -> float:
        """Ours."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        """How many times theirs is ours."""
        return statistics.median(self.theirs) / self.median if self.theirs else None

    def document(self) -> dict[str, object]:
        """Give the figure as plain JSON."""
        return {**dataclasses.asdict(self), "median": self.median, "ratio": self.ratio}


def table(results: Iterable[Figure]) -> str:
    """Give an aligned table."""
    rows = [("figure", "ours", "docker", "ratio", "to reach")]
    for figure in results:
        theirs = f"{statistics.median(figure.theirs):.4g} {figure.unit}" if figure.theirs else "-"
        ratio = f"{figure.ratio:.1f}x" if figure.ratio else "-"
        rows.append((figure.name, f"{figure.median:.4g} {figure.unit}", theirs, ratio, figure.reach))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
