"""What is known for the metrics: the latest pass, and counts of what has happened. Fed by signals."""

import bisect
import collections
import dataclasses
from collections.abc import Iterator

from agent.converge import signals
from agent.model import container
from agent.model.key import OBJECTS, Kind
from agent.plan import plan
from agent.runtime import events
from agent.telemetry import metrics

Labels = tuple[str, ...]

_FROM_ZERO: tuple[tuple[str, Labels], ...] = (
    *(("trimtab_source_reads_total", (result,)) for result in ("good", "rejected", "failed")),
    *(("trimtab_drift_found_total", (kind.value,)) for kind in OBJECTS),
    ("trimtab_images_collected_total", ()),
    ("trimtab_journal_errors_total", ()),
    ("trimtab_internal_errors_total", ()),
)
"""Counters that are there before anything is counted: the first increase is to be seen as one."""


class Histogram:
    """Durations, counted by bucket."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._counts = [0] * (len(metrics.DURATIONS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect.bisect_left(metrics.DURATIONS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Give (upper bound, how many were at most that long), the last bound being ``+Inf``."""
        bounds = [*(str(bound) for bound in metrics.DURATIONS), "+Inf"]
        running = 0
        found = []
        for bound, count in zip(bounds, self._counts, strict=True):
            running += count
            found.append((bound, float(running)))
        return found


@dataclasses.dataclass(slots=True)
class Source:
    """The source as last read."""

    name: str = ""
    revision: str = ""
    problems: int = 0
    empty: bool = False
    read_at: float | None = None


class Tally:
    """Holds it all. Whatever belongs to one object is dropped with the object."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.latest: signals.PassFinished | None = None
        self.counts: dict[str, collections.Counter[Labels]] = collections.defaultdict(collections.Counter)
        self.durations: dict[str, dict[Labels, Histogram]] = collections.defaultdict(dict)
        self.exit_codes: dict[str, int] = {}
        self.source = Source()
        self.applied = ""
        self.succeeded_at: float | None = None
        self.streaming = False
        for name, labels in _FROM_ZERO:
            self.counts[name][labels] = 0
        self._drifted: frozenset[str] = frozenset()
        self._ends: dict[str, tuple[str, float | None]] = {}

    def take(self, signal: signals.Signal) -> None:
        """Count what happened: a ``signals.Sink``."""
        match signal:
            case signals.PassFinished() | signals.PassFailed() | signals.RevisionApplied():
                self._take_pass(signal)
            case signals.SourceRead() | signals.SourceRejected() | signals.SourceFailed():
                self._take_source(signal)
            case signals.ActionFinished():
                self._take_action(signal)
            case signals.ProbeFinished(result):
                outcome = "success" if result.success else "failure"
                self.counts["trimtab_probe_total"][result.container, result.probe, outcome] += 1
            case signals.RuntimeEvent(event):
                self._take_event(event)
            case signals.EventStream(connected):
                self.streaming = connected
            case signals.JournalFailed():
                self.counts["trimtab_journal_errors_total"][()] += 1
            case signals.TaskFailed():
                self.counts["trimtab_internal_errors_total"][()] += 1

    def containers(self) -> Iterator[tuple[str, container.ObservedContainer | None]]:
        """Give the containers that are declared or ours, by declared name, with what is there under that name."""
        if self.latest is None:
            return
        there = {one.name: one for one in self.latest.observed.containers}
        for name in self._names(self.latest):
            yield name, there.get(name)

    def _take_event(self, event: events.RuntimeEvent) -> None:
        if event.exit_code is not None and event.action is events.EventAction.EXITED:
            self.exit_codes[event.name] = event.exit_code
        if event.action is events.EventAction.COLLECTED:
            self.counts["trimtab_images_collected_total"][()] += 1

    def _take_pass(self, signal: signals.PassFinished | signals.PassFailed | signals.RevisionApplied) -> None:
        match signal:
            case signals.PassFinished():
                self.latest = signal
                self._count_pass(signal, "success")
                self._compare(signal)
                if signal.converged:
                    self.succeeded_at = signal.at
            case signals.PassFailed():
                self._count_pass(signal, "failure")
            case signals.RevisionApplied():
                self.applied = signal.revision
                if signal.duration is not None:
                    self._observe("trimtab_convergence_duration_seconds", (), signal.duration)

    def _count_pass(self, signal: signals.PassFinished | signals.PassFailed, result: str) -> None:
        self._observe("trimtab_reconcile_duration_seconds", (result,), signal.duration)
        for trigger in signal.triggers:
            self.counts["trimtab_reconcile_triggers_total"][trigger.value,] += 1

    def _compare(self, signal: signals.PassFinished) -> None:
        """Count what this pass found for the first time, and forget what is no longer there."""
        drifted = {str(key): key.kind.value for key, _ in signal.plan.drift}
        for text in drifted.keys() - self._drifted:
            self.counts["trimtab_drift_found_total"][drifted[text],] += 1
        self._drifted = frozenset(drifted)
        names = set(self._names(signal))
        for one in signal.observed.containers:
            if one.name in names and one.state is container.ContainerState.EXITED:
                self._take_end(one)
        for name in ("trimtab_probe_total", "trimtab_container_oom_kills_total"):
            kept = {labels: count for labels, count in self.counts[name].items() if labels[0] in names}
            self.counts[name] = collections.Counter(kept)
        for name in names:
            self.counts["trimtab_container_oom_kills_total"][name,] += 0
        self.exit_codes = {name: code for name, code in self.exit_codes.items() if name in names}
        self._ends = {name: end for name, end in self._ends.items() if name in names}

    def _take_end(self, one: container.ObservedContainer) -> None:
        if one.exit_code is not None:
            self.exit_codes[one.name] = one.exit_code
        if self._ends.get(one.name) != (one.id, one.finished_at):
            self._ends[one.name] = (one.id, one.finished_at)
            if one.oom_killed:
                self.counts["trimtab_container_oom_kills_total"][one.name,] += 1

    def _take_source(self, signal: signals.SourceRead | signals.SourceRejected | signals.SourceFailed) -> None:
        match signal:
            case signals.SourceRead():
                result = "good"
                self.source = Source(signal.source, signal.revision, 0, signal.empty, signal.at)
            case signals.SourceRejected():
                result = "rejected"
                self.source = Source(signal.source, signal.revision, len(signal.problems), read_at=signal.at)
            case signals.SourceFailed():
                result = "failed"
        self.counts["trimtab_source_reads_total"][result,] += 1

    def _take_action(self, signal: signals.ActionFinished) -> None:
        kind = type(signal.action).__name__
        self.counts["trimtab_actions_total"][kind, signal.result.value] += 1
        if signal.result in {signals.Result.SUCCEEDED, signals.Result.FAILED}:
            self._observe("trimtab_action_duration_seconds", (kind,), signal.duration)

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        self.durations[name].setdefault(labels, Histogram()).observe(seconds)

    def _names(self, signal: signals.PassFinished) -> Iterator[str]:
        for key, bucket in signal.plan.buckets:
            if key.kind is Kind.CONTAINER and bucket is not plan.Bucket.FOREIGN:
                yield key.name
