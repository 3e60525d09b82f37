"""From the collected state to samples: pure. Each function yields (metric's name, label values, value)."""

import collections
import platform
from collections.abc import Iterator, Mapping

import agent
from agent.kit import disk_space, frozen, machine, notices, resource_usage
from agent.model import conditions, container, health, image, ledger, state
from agent.model.key import OBJECTS, Kind
from agent.telemetry import cadvisor, metrics_sink

Sample = cadvisor.Sample

Usage = Mapping[str, resource_usage.Usage]
"""Resource usage of running containers, by id."""

_STATES = ("missing", *(state.value for state in container.ContainerState))


@frozen.value
class Moments:
    """The moments that samples refer to, in seconds since the epoch."""

    began: float
    """When the agent started."""
    now: float


@frozen.value
class RuntimeUsage:
    """The runtime's usage at the moment of a scrape."""

    usage: Usage
    space: disk_space.DiskSpace | None = None
    size: machine.Machine | None = None
    """The machine's."""


def all_samples(
    sink: metrics_sink.MetricsSink, usage: RuntimeUsage, runtime: str, moments: Moments
) -> Iterator[Sample]:
    """Yield all samples except those of histograms."""
    yield "trimtab_build_info", (agent.__version__, platform.python_version(), runtime), 1
    yield from _objects(sink)
    yield from _containers(sink)
    yield from _images(sink)
    yield from _suspensions(sink)
    yield from _notices(sink)
    yield from _loop(sink, moments)
    yield from _source(sink)
    yield "trimtab_log_lines_dropped_total", (), sink.dropped_log_lines()
    for name, counter in sink.counts.items():
        for labels, count in counter.items():
            yield name, labels, count
    yield from _usage(sink, usage.usage, moments.now)
    yield from cadvisor.of_machine(usage.size)
    if usage.space is not None:
        yield "trimtab_disk_size_bytes", (), usage.space.size
        yield "trimtab_disk_available_bytes", (), usage.space.available


def _objects(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    if sink.latest is None:
        return
    for status in sink.latest.statuses:
        labels = (status.key.kind.value, status.key.name)
        for condition in status.conditions:
            for value in conditions.ConditionStatus:
                yield (
                    "trimtab_object_condition",
                    (*labels, condition.type.value, value.value),
                    float(condition.status is value),
                )
            if condition.type is conditions.ConditionType.READY:
                yield "trimtab_object_ready_reason", (*labels, condition.reason), 1
    declared = {state.key_of(config).object for config in sink.latest.desired}
    counts = dict.fromkeys(OBJECTS, 0) | collections.Counter(key.kind for key in declared)
    for kind, count in counts.items():
        yield "trimtab_desired_objects", (kind.value,), count
    buckets = collections.Counter((key.kind.value, bucket.value) for key, bucket in sink.latest.plan.buckets)
    for labels, count in buckets.items():
        yield "trimtab_observed_objects", labels, count


def _suspensions(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    if sink.latest is None:
        return
    suspensions = sink.latest.observed.suspensions
    yield "trimtab_source_suspended", (), float(suspensions.source is not None)
    for suspension in suspensions.objects:
        yield "trimtab_object_suspended", (suspension.key.kind.value, suspension.key.name), 1


def _notices(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    """Yield the number of the runtime's current notices by reason; zeros as well, so that alerts see the first one."""
    if sink.latest is not None:
        standing = collections.Counter(notice.reason for notice in sink.latest.notices)
        for reason in notices.NoticeReason:
            yield "trimtab_notices", (reason.value,), standing[reason]


def _containers(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    if sink.latest is None:
        return
    probed = {entry.container_id: entry for entry in sink.latest.observed.health}
    restarts = {
        (entry.key.name, restart.reason): restart.count
        for entry in sink.latest.observed.ledger
        if entry.key.kind is Kind.CONTAINER
        for restart in entry.restarts
    }
    for name, observed in sink.containers():
        current = "missing" if observed is None else observed.state.value
        for state_name in _STATES:
            yield "trimtab_container_state", (name, state_name), float(state_name == current)
        for reason in ledger.RestartReason:
            yield "trimtab_container_restarts_total", (name, reason.value), restarts.get((name, reason), 0)
        if observed is None:
            continue
        key = state.key_of(observed.config)
        instance = (key.object.name, str(key.ordinal))
        yield "trimtab_container_info", (name, observed.config.image, observed.id, *instance), 1
        if observed.started_at is not None:
            yield "trimtab_container_start_time_seconds", (name,), observed.started_at
        if observed.state is container.ContainerState.RUNNING:
            now = probed[observed.id].health if observed.id in probed else health.Health.HEALTHY
            for value in health.Health:
                yield "trimtab_container_health", (name, value.value), float(value is now)
    for name, code in sink.exit_codes.items():
        yield "trimtab_container_last_exit_code", (name,), code


def _images(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    if sink.latest is None:
        return
    followed = {follow.name: follow for follow in sink.latest.desired.follows}
    digests_by_reference = {observed.reference: observed.digests for observed in sink.latest.observed.images}
    sizes = {observed.reference: observed.size for observed in sink.latest.observed.images}
    for config in sink.latest.desired.images:
        if isinstance(config.source, image.BuildSource) and config.reference in sizes:
            yield "trimtab_build_image_size_bytes", (config.name,), sizes[config.reference]
    for entry in sink.latest.observed.ledger:
        name, answer = entry.key.name, entry.newest
        if entry.key.kind is not Kind.IMAGE or name not in followed or answer is None:
            continue
        yield "trimtab_image_check_timestamp_seconds", (name,), answer.checked_at
        yield "trimtab_image_check_failed", (name,), float(bool(answer.problem))
        if answer.digest and (digests := digests_by_reference.get(followed[name].reference)) is not None:
            yield "trimtab_image_outdated", (name,), float(answer.digest not in digests)


def _loop(sink: metrics_sink.MetricsSink, moments: Moments) -> Iterator[Sample]:
    yield "trimtab_event_stream_up", (), float(sink.streaming)
    succeeded = moments.began if sink.succeeded_at is None else sink.succeeded_at
    yield "trimtab_reconcile_last_success_timestamp_seconds", (), succeeded
    if sink.applied:
        yield "trimtab_revision_info", (sink.applied,), 1
    if sink.latest is None:
        return
    yield "trimtab_objects_in_flight", (), sink.latest.in_flight
    yield "trimtab_plan_steps", (), len(sink.latest.plan.steps)
    yield "trimtab_relist_age_seconds", (), max(0.0, moments.now - sink.latest.observed.observed_at)
    for reason, count in collections.Counter(blocked.reason for blocked in sink.latest.plan.blocked).items():
        yield "trimtab_plan_blocked_objects", (reason,), count


def _source(sink: metrics_sink.MetricsSink) -> Iterator[Sample]:
    health = sink.source.health
    if health.last_attempt is not None:
        yield "trimtab_source_up", (), float(not health.error)
        yield "trimtab_source_last_attempt_timestamp_seconds", (), health.last_attempt
    if health.last_success is not None:
        yield "trimtab_source_last_read_timestamp_seconds", (), health.last_success
    if sink.source.revision:
        yield "trimtab_source_revision_info", (sink.source.name, sink.source.revision), 1
        yield "trimtab_source_problems", (), sink.source.problems
        yield "trimtab_source_empty", (), float(sink.source.empty)


def _usage(sink: metrics_sink.MetricsSink, usage: Usage, now: float) -> Iterator[Sample]:
    for observed in () if sink.latest is None else sink.latest.observed.containers:
        used = usage.get(observed.id)
        if used is not None:
            yield from cadvisor.samples(observed, used, now)
