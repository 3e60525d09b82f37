"""The state behind the metrics: the latest pass, and counts of events. Fed by signals."""

import bisect
import collections
import copy
import dataclasses
from collections.abc import Callable, Iterator

from agent.converge import signals
from agent.model import container, image
from agent.model.key import OBJECTS, Kind
from agent.plan import actions, plan
from agent.runtime import events
from agent.sources import api
from agent.telemetry import metrics

Labels = tuple[str, ...]

_FROM_ZERO: tuple[tuple[str, Labels], ...] = (
    *(("trimtab_source_reads_total", (result,)) for result in ("good", "rejected", "failed")),
    *(("trimtab_drift_found_total", (kind.value,)) for kind in OBJECTS),
    ("trimtab_images_collected_total", ()),
    ("trimtab_clean_up_failures_total", ()),
    ("trimtab_journal_errors_total", ()),
    ("trimtab_internal_errors_total", ()),
)
"""Counters that exist before anything is counted, so that the first increase is visible as one."""


class Histogram:
    """A histogram of durations."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._counts = [0] * (len(metrics.DURATIONS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect.bisect_left(metrics.DURATIONS, seconds)] += 1
        self.total += seconds

    def copied(self) -> "Histogram":
        """Return a copy."""
        copied = Histogram()
        copied._counts, copied.total = list(self._counts), self.total
        return copied

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts as (upper bound in seconds, count); the last bound is ``+Inf``."""
        bounds = [*(str(bound) for bound in metrics.DURATIONS), "+Inf"]
        running = 0
        buckets = []
        for bound, count in zip(bounds, self._counts, strict=True):
            running += count
            buckets.append((bound, float(running)))
        return buckets


@dataclasses.dataclass(slots=True)
class SourceState:
    """The source as last read."""

    name: str = ""
    revision: str = ""
    problems: int = 0
    empty: bool = False
    health: api.SourceHealth = dataclasses.field(default_factory=api.SourceHealth)


class MetricsSink:
    """Collects counts and the latest pass. What belongs to one object is dropped with the object."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.latest: signals.PassFinished | None = None
        self.counts: dict[str, collections.Counter[Labels]] = collections.defaultdict(collections.Counter)
        self.durations: dict[str, dict[Labels, Histogram]] = collections.defaultdict(dict)
        self.exit_codes: dict[str, int] = {}
        self.source = SourceState()
        self.applied = ""
        self.succeeded_at: float | None = None
        self.streaming = False
        for name, labels in _FROM_ZERO:
            self.counts[name][labels] = 0
        self.dropped_log_lines: Callable[[], int] = int
        """Called at each scrape: how many log lines were dropped so far."""
        self._drifted: frozenset[str] = frozenset()
        self._ends: dict[str, tuple[str, float | None]] = {}

    def snapshot(self) -> "MetricsSink":
        """Return a copy of the current state, for reading in another thread."""
        duplicate = copy.copy(self)
        duplicate.counts = collections.defaultdict(
            collections.Counter, {name: collections.Counter(counts) for name, counts in self.counts.items()}
        )
        duplicate.durations = collections.defaultdict(dict)
        for name, histograms in self.durations.items():
            duplicate.durations[name] = {labels: histogram.copied() for labels, histogram in histograms.items()}
        duplicate.exit_codes = dict(self.exit_codes)
        duplicate.source = copy.copy(self.source)
        return duplicate

    def take(self, signal: signals.Signal) -> None:
        """Count a signal: a ``signals.Sink``."""
        match signal:
            case signals.PassFinished() | signals.PassFailed() | signals.RevisionApplied():
                self._take_pass(signal)
            case signals.SourceRead() | signals.SourceRejected() | signals.SourceFailed():
                self._take_source(signal)
            case signals.SourceLooked(source, health):
                self.source = dataclasses.replace(self.source, name=source, health=health)
            case signals.ActionFinished() | signals.ActionProgress():
                self._take_action(signal)
            case signals.ProbeFinished(result):
                self.counts["trimtab_probe_total"][result.container, result.probe, result.outcome.value] += 1
            case signals.RuntimeEvent(event):
                self._take_event(event)
            case signals.EventStream(connected):
                self.streaming = connected
            case signals.JournalFailed() | signals.TaskFailed():
                is_journal = isinstance(signal, signals.JournalFailed)
                self.counts["trimtab_journal_errors_total" if is_journal else "trimtab_internal_errors_total"][()] += 1
            case (
                signals.SourceAwaited()
                | signals.ActionStarted()
                | signals.ObjectDisposed()
                | signals.RegistryAnswered()
            ):
                pass  # nothing is counted of these

    def containers(self) -> Iterator[tuple[str, container.ObservedContainer | None]]:
        """Yield (declared name, observed container or ``None``) of every container that is declared or owned."""
        if self.latest is None:
            return
        observed = {container.name: container for container in self.latest.observed.containers}
        for name in self._names(self.latest):
            yield name, observed.get(name)

    def _take_event(self, event: events.RuntimeEvent) -> None:
        if event.exit_code is not None and event.action is events.EventAction.EXITED:
            self.exit_codes[event.name] = event.exit_code
        if event.action is events.EventAction.COLLECTED:
            self.counts["trimtab_images_collected_total"][()] += 1
        if event.action is events.EventAction.CLEAN_UP_FAILED:
            self.counts["trimtab_clean_up_failures_total"][()] += 1

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
        """Count drift and ends that are new in this pass, and forget containers that no longer exist."""
        drifted = {str(key): key.kind.value for key, _ in signal.plan.drift}
        for text in drifted.keys() - self._drifted:
            self.counts["trimtab_drift_found_total"][drifted[text],] += 1
        self._drifted = frozenset(drifted)
        names = set(self._names(signal))
        for observed in signal.observed.containers:
            if observed.name in names and observed.state is container.ContainerState.EXITED:
                self._take_end(observed)
        for name in ("trimtab_probe_total", "trimtab_container_oom_kills_total"):
            kept = {labels: count for labels, count in self.counts[name].items() if labels[0] in names}
            self.counts[name] = collections.Counter(kept)
        for name in names:
            self.counts["trimtab_container_oom_kills_total"][name,] += 0
        built = {config.name for config in signal.desired.images if isinstance(config.source, image.BuildSource)}
        kept = {
            labels: count for labels, count in self.counts["trimtab_build_steps_total"].items() if labels[0] in built
        }
        self.counts["trimtab_build_steps_total"] = collections.Counter(kept)
        self.exit_codes = {name: code for name, code in self.exit_codes.items() if name in names}
        self._ends = {name: end for name, end in self._ends.items() if name in names}

    def _take_end(self, observed: container.ObservedContainer) -> None:
        if observed.exit_code is not None:
            self.exit_codes[observed.name] = observed.exit_code
        if self._ends.get(observed.name) != (observed.id, observed.finished_at):
            self._ends[observed.name] = (observed.id, observed.finished_at)
            if observed.oom_killed:
                self.counts["trimtab_container_oom_kills_total"][observed.name,] += 1

    def _take_source(self, signal: signals.SourceRead | signals.SourceRejected | signals.SourceFailed) -> None:
        match signal:
            case signals.SourceRead():
                result = "good"
                self.source = SourceState(signal.source, signal.revision, 0, signal.empty, self.source.health)
            case signals.SourceRejected():
                result = "rejected"
                problems = len(signal.problems)
                self.source = SourceState(signal.source, signal.revision, problems, health=self.source.health)
            case signals.SourceFailed():
                result = "failed"
        self.counts["trimtab_source_reads_total"][result,] += 1

    def _take_action(self, signal: signals.ActionFinished | signals.ActionProgress) -> None:
        if isinstance(signal, signals.ActionProgress):
            if signal.progress.build_step is not None:
                labels = signal.action.key.name, signal.progress.build_step.value
                self.counts["trimtab_build_steps_total"][labels] += 1
            return
        kind = type(signal.action).__name__
        self.counts["trimtab_actions_total"][kind, signal.result.value] += 1
        if signal.result not in {signals.Result.SUCCEEDED, signals.Result.FAILED}:
            return
        self._observe("trimtab_action_duration_seconds", (kind,), signal.duration)
        if actions.is_build(signal.action):
            self._observe("trimtab_build_duration_seconds", (signal.result.value,), signal.duration)

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        self.durations[name].setdefault(labels, Histogram()).observe(seconds)

    def _names(self, signal: signals.PassFinished) -> Iterator[str]:
        for key, bucket in signal.plan.buckets:
            if key.kind is Kind.CONTAINER and bucket is not plan.Bucket.FOREIGN:
                yield key.name
