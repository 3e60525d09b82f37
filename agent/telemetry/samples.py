"""From what is known to numbers under names: pure. Each function gives (metric's name, label values, value)."""

import collections
import dataclasses
import platform
from collections.abc import Iterator, Mapping

import agent
from agent.model import conditions, container, health, ledger, state
from agent.model.key import OBJECTS, Kind
from agent.runtime import api, disk
from agent.telemetry import tally

Sample = tuple[str, tuple[str, ...], float]

Usage = Mapping[str, api.ContainerStats]
"""What each running container uses, by id."""

_STATES = ("missing", *(state.value for state in container.ContainerState))


@dataclasses.dataclass(frozen=True, slots=True)
class Moments:
    """The times that samples refer to."""

    began: float
    """When the agent did."""
    now: float


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What the runtime says at the moment of a scrape."""

    usage: Usage
    space: disk.Space | None = None


def everything(known: tally.Tally, seen: Seen, runtime: str, moments: Moments) -> Iterator[Sample]:
    """Give all samples but those of histograms."""
    yield "trimtab_build_info", (agent.__version__, platform.python_version(), runtime), 1
    yield from _objects(known)
    yield from _containers(known)
    yield from _images(known)
    yield from _loop(known, moments)
    yield from _source(known)
    for name, counter in known.counts.items():
        for labels, count in counter.items():
            yield name, labels, count
    yield from _usage(known, seen.usage, moments.now)
    if seen.space is not None:
        yield "trimtab_disk_size_bytes", (), seen.space.size
        yield "trimtab_disk_available_bytes", (), seen.space.available


def _objects(known: tally.Tally) -> Iterator[Sample]:
    if known.latest is None:
        return
    for status in known.latest.statuses:
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
    desired = known.latest.desired
    counts = dict.fromkeys(OBJECTS, 0) | collections.Counter(state.key_of(one).kind for one in desired)
    for kind, count in counts.items():
        yield "trimtab_desired_objects", (kind.value,), count
    buckets = collections.Counter((key.kind.value, bucket.value) for key, bucket in known.latest.plan.buckets)
    for labels, count in buckets.items():
        yield "trimtab_observed_objects", labels, count


def _containers(known: tally.Tally) -> Iterator[Sample]:
    if known.latest is None:
        return
    probed = {one.container_id: one for one in known.latest.observed.health}
    restarts = {
        (entry.key.name, one.reason): one.count
        for entry in known.latest.observed.ledger
        if entry.key.kind is Kind.CONTAINER
        for one in entry.restarts
    }
    for name, found in known.containers():
        current = "missing" if found is None else found.state.value
        for one in _STATES:
            yield "trimtab_container_state", (name, one), float(one == current)
        for reason in ledger.RestartReason:
            yield "trimtab_container_restarts_total", (name, reason.value), restarts.get((name, reason), 0)
        if found is None:
            continue
        yield "trimtab_container_info", (name, found.config.image, found.id), 1
        if found.started_at is not None:
            yield "trimtab_container_start_time_seconds", (name,), found.started_at
        if found.state is container.ContainerState.RUNNING:
            now = probed[found.id].health if found.id in probed else health.Health.HEALTHY
            for value in health.Health:
                yield "trimtab_container_health", (name, value.value), float(value is now)
    for name, code in known.exit_codes.items():
        yield "trimtab_container_last_exit_code", (name,), code


def _images(known: tally.Tally) -> Iterator[Sample]:
    if known.latest is None:
        return
    followed = {one.name: one for one in known.latest.desired.follows}
    there = {one.reference: one.digests for one in known.latest.observed.images}
    for entry in known.latest.observed.ledger:
        name, answer = entry.key.name, entry.newest
        if entry.key.kind is not Kind.IMAGE or name not in followed or answer is None:
            continue
        yield "trimtab_image_check_timestamp_seconds", (name,), answer.checked_at
        yield "trimtab_image_check_failed", (name,), float(bool(answer.problem))
        if answer.digest and (digests := there.get(followed[name].reference)) is not None:
            yield "trimtab_image_outdated", (name,), float(answer.digest not in digests)


def _loop(known: tally.Tally, moments: Moments) -> Iterator[Sample]:
    yield "trimtab_event_stream_up", (), float(known.streaming)
    succeeded = moments.began if known.succeeded_at is None else known.succeeded_at
    yield "trimtab_reconcile_last_success_timestamp_seconds", (), succeeded
    if known.applied:
        yield "trimtab_revision_info", (known.applied,), 1
    if known.latest is None:
        return
    yield "trimtab_objects_in_flight", (), known.latest.in_flight
    yield "trimtab_plan_steps", (), len(known.latest.plan.steps)
    yield "trimtab_relist_age_seconds", (), max(0.0, moments.now - known.latest.observed.observed_at)
    for reason, count in collections.Counter(one.reason for one in known.latest.plan.blocked).items():
        yield "trimtab_plan_blocked_objects", (reason,), count


def _source(known: tally.Tally) -> Iterator[Sample]:
    if known.source.read_at is None:
        return
    yield "trimtab_source_revision_info", (known.source.name, known.source.revision), 1
    yield "trimtab_source_problems", (), known.source.problems
    yield "trimtab_source_empty", (), float(known.source.empty)
    yield "trimtab_source_last_read_timestamp_seconds", (), known.source.read_at


def _usage(known: tally.Tally, usage: Usage, now: float) -> Iterator[Sample]:
    containers = () if known.latest is None else known.latest.observed.containers
    for one in containers:
        stats = usage.get(one.id)
        if stats is None:
            continue
        labels = (one.name, one.config.image, one.id)
        yield "container_cpu_usage_seconds_total", labels, stats.cpu_seconds
        yield "container_memory_usage_bytes", labels, stats.memory_usage
        yield "container_memory_working_set_bytes", labels, stats.memory_working_set
        yield "container_spec_memory_limit_bytes", labels, stats.memory_limit or 0
        yield "container_processes", labels, stats.pids
        yield "container_oom_events_total", labels, stats.oom_kills
        yield "container_start_time_seconds", labels, one.started_at or one.created_at
        yield "container_last_seen", labels, now
        for interface in stats.networks:
            yield from _network((*labels, interface.interface), interface)


def _network(labels: tuple[str, ...], one: api.NetworkStats) -> Iterator[Sample]:
    yield "container_network_receive_bytes_total", labels, one.receive_bytes
    yield "container_network_receive_packets_total", labels, one.receive_packets
    yield "container_network_receive_packets_dropped_total", labels, one.receive_dropped
    yield "container_network_receive_errors_total", labels, one.receive_errors
    yield "container_network_transmit_bytes_total", labels, one.transmit_bytes
    yield "container_network_transmit_packets_total", labels, one.transmit_packets
    yield "container_network_transmit_packets_dropped_total", labels, one.transmit_dropped
    yield "container_network_transmit_errors_total", labels, one.transmit_errors
