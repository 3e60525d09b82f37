"""What is measured, and how it is told."""

import dataclasses
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence

_NOTHING = "-"


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: samples of ours, and of each rival that does the same."""

    name: str
    unit: str
    ours: tuple[float, ...]
    rivals: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    """Samples by the rival's name, as people know it: ``Docker 26.1``."""
    reach: str = ""
    """What it should be, as people say it."""

    @property
    def median(self) -> float:
        """Ours."""
        return statistics.median(self.ours)

    @property
    def medians(self) -> dict[str, float]:
        """Each rival's."""
        return {rival: statistics.median(samples) for rival, samples in self.rivals.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """How many times each rival's is ours; none where ours is nothing."""
        return {rival: median / self.median for rival, median in self.medians.items() if self.median}

    def document(self) -> dict[str, object]:
        """Give the figure as plain JSON."""
        calculated = {"median": self.median, "medians": self.medians, "ratios": self.ratios}
        return {**dataclasses.asdict(self), **calculated}


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """A figure whose samples are still being taken, side by side."""

    name: str
    unit: str
    reach: str = ""
    ours: list[float] = dataclasses.field(default_factory=list)
    rivals: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def add(self, sample: float, rival: str = "") -> None:
        """Note a sample: ours, or a rival's."""
        (self.rivals.setdefault(rival, []) if rival else self.ours).append(sample)

    def figure(self) -> Figure:
        """Return the figure of all samples so far."""
        rivals = {rival: tuple(samples) for rival, samples in self.rivals.items()}
        return Figure(self.name, self.unit, tuple(self.ours), rivals, self.reach)


def table(results: Sequence[Figure]) -> str:
    """Give an aligned table: two columns for each rival, its median and how many times ours that is."""
    rivals = list(dict.fromkeys(rival for figure in results for rival in figure.rivals))
    rows = [["figure", "ours", *(head for rival in rivals for head in (rival, "ratio")), "to reach"]]
    for figure in results:
        cells = (cell for rival in rivals for cell in _cells(figure, rival))
        rows.append([figure.name, _amount(figure.median, figure.unit), *cells, figure.reach])
    return _aligned(rows)


def _cells(figure: Figure, rival: str) -> tuple[str, str]:
    median, ratio = figure.medians.get(rival), figure.ratios.get(rival)
    return (
        _NOTHING if median is None else _amount(median, figure.unit),
        _NOTHING if ratio is None else f"{ratio:.1f}x",
    )


def _amount(median: float, unit: str) -> str:
    return f"{median:.4g} {unit}"


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
