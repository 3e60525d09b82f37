"""Prometheus' text formats, written for tens of thousands of series: the client library takes several times as long.

Two are asked for: text format 0.0.4 and OpenMetrics 1.0 (prometheus.io/docs/instrumenting/exposition_formats). They
differ in how counters are headed and in their end. What a set of labels looks like is found out once: a container's are
the same in a dozen families. Pure.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from agent.telemetry import metrics

OPEN_METRICS = "application/openmetrics-text"
OPEN_METRICS_TYPE = f"{OPEN_METRICS}; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TOTAL = "_total"

Point = tuple[tuple[str, ...], float]
"""The values of a family's labels, and the number."""
Buckets = tuple[tuple[str, ...], Sequence[tuple[str, float]], float]
"""The values of a family's labels, (upper bound, how many were at most that) up to ``+Inf``, and the sum."""


@dataclasses.dataclass(slots=True)
class Writer:
    """Writes families in one of the two formats."""

    open_metrics: bool
    _labels: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = dataclasses.field(default_factory=dict)

    def family(self, metric: metrics.Metric, points: Iterable[Point]) -> Iterator[str]:
        """Yield the lines of a counter or a gauge."""
        yield self._head(metric)
        for labels, value in points:
            yield f"{metric.name}{self._braces(metric.labels, labels)} {_number(value)}\n"

    def histogram(self, metric: metrics.Metric, histograms: Iterable[Buckets]) -> Iterator[str]:
        """Yield the lines of a histogram."""
        yield self._head(metric)
        for labels, buckets, total in histograms:
            for bound, count in buckets:
                braces = self._braces((*metric.labels, "le"), (*labels, bound))
                yield f"{metric.name}_bucket{braces} {_number(count)}\n"
            braces = self._braces(metric.labels, labels)
            yield f"{metric.name}_count{braces} {_number(buckets[-1][1])}\n"
            yield f"{metric.name}_sum{braces} {_number(total)}\n"

    def _head(self, metric: metrics.Metric) -> str:
        name = metric.name.removesuffix(_TOTAL) if self.open_metrics else metric.name
        text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        if self.open_metrics:
            text = text.replace('"', r"\"")
        return f"# HELP {name} {text}\n# TYPE {name} {metric.type.value}\n"

    def _braces(self, names: tuple[str, ...], values: tuple[str, ...]) -> str:
        key = (names, values)
        braces = self._labels.get(key)
        if braces is None:
            pairs = sorted(zip(names, values, strict=True))  # by name, as the library has them
            inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
            braces = self._labels[key] = f"{{{inside}}}" if inside else ""
        return braces


def is_open_metrics(accept: str) -> bool:
    """Return whether an ``Accept`` header asks for OpenMetrics."""
    return any(part.partition(";")[0].strip() == OPEN_METRICS for part in accept.split(","))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """Return a number as Go parses it."""
    text = repr(float(value))
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
