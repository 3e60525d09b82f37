"""Prometheus' text formats, written for tens of thousands of series: the client library takes several times as long.

Two are asked for: text format 0.0.4 and OpenMetrics 1.0 (prometheus.io/docs/instrumenting/exposition_formats). They
differ in how counters are headed and in their end. What a set of labels looks like is found out once: a container's are
the same in a dozen families. Pure.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

from agent.telemetry import families

OPEN_METRICS = "application/openmetrics-text"
OPEN_METRICS_TYPE = f"{OPEN_METRICS}; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TOTAL = "_total"
_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}

Point = tuple[tuple[str, ...], float]
"""The values of a family's labels, and the number."""
Buckets = tuple[tuple[str, ...], Sequence[tuple[str, float]], float]
"""The values of a family's labels, (upper bound, how many were at most that) up to ``+Inf``, and the sum."""


class Writer:
    """Writes families in one of the two formats."""

    def __init__(self, *, open_metrics: bool) -> None:
        """Begin a page."""
        self.open_metrics = open_metrics
        self._by_names: dict[tuple[str, ...], _Braces] = {}
        self._escaped = functools.cache(_escaped)

    def family(self, metric: families.Metric, points: Iterable[Point]) -> str:
        """Return the lines of a counter or a gauge."""
        braces = self._braces(metric.labels)
        lines = [f"{metric.name}{braces[values]} {_number(value)}\n" for values, value in points]
        return self._head(metric) + "".join(lines)

    def histogram(self, metric: families.Metric, histograms: Iterable[Buckets]) -> str:
        """Return the lines of a histogram."""
        lines = [self._head(metric)]
        plain, with_bound = self._braces(metric.labels), self._braces((*metric.labels, "le"))
        for labels, buckets, total in histograms:
            lines += (f"{metric.name}_bucket{with_bound[*labels, le]} {_number(count)}\n" for le, count in buckets)
            lines.append(f"{metric.name}_count{plain[labels]} {_number(buckets[-1][1])}\n")
            lines.append(f"{metric.name}_sum{plain[labels]} {_number(total)}\n")
        return "".join(lines)

    def _head(self, metric: families.Metric) -> str:
        name = metric.name.removesuffix(_TOTAL) if self.open_metrics else metric.name
        text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        if self.open_metrics:
            text = text.replace('"', r"\"")
        return f"# HELP {name} {text}\n# TYPE {name} {metric.type.value}\n"

    def _braces(self, names: tuple[str, ...]) -> "_Braces":
        """Return what sets of these labels look like, the same for every family that has them."""
        if names not in self._by_names:
            self._by_names[names] = _Braces(names, self._escaped)
        return self._by_names[names]


class _Braces(dict[tuple[str, ...], str]):
    """From the values of some labels to how they are written; each is written once."""

    def __init__(self, names: tuple[str, ...], escape: Callable[[str], str]) -> None:
        super().__init__()
        self._escape = escape
        self._order = sorted(range(len(names)), key=names.__getitem__)  # by name, as the library has them
        inside = ",".join(f'{names[index]}="%s"' for index in self._order)
        self._form = f"{{{inside}}}" if names else ""

    def __missing__(self, values: tuple[str, ...]) -> str:
        text = self._form % tuple([self._escape(values[index]) for index in self._order])
        self[values] = text
        return text


def is_open_metrics(accept: str) -> bool:
    """Return whether an ``Accept`` header asks for OpenMetrics."""
    return any(part.partition(";")[0].strip() == OPEN_METRICS for part in accept.split(","))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """Return a number as Go parses it."""
    text = repr(float(value))
    return _SPECIAL.get(text, text)
