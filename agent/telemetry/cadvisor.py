"""The metrics that are named and labelled as cAdvisor's, so that dashboards made for it work; and their samples. Pure.

Names, types and labels are those of its docs/storage/prometheus.md and metrics/prometheus.go. What a runtime does not
tell has no sample. ``container_memory_failures_total`` is not among them: it would be a tenth of a scrape, and nearly
everybody drops it; nor is ``container_tasks_state``, which the kernel tells of version 1 only, and slowly.
"""

from collections.abc import Iterator

from agent.kit import machine, resource_usage
from agent.model import container
from agent.oci import cpu
from agent.telemetry.families import Metric, Type

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, label values and a number."""

_LABELS = ("name", "image", "id")
_CPU = (*_LABELS, "cpu")
_DEVICE = (*_LABELS, "device")
_INTERFACE = (*_LABELS, "interface")
_ALL = "cgroups or the engine, at the scrape"
_NATIVE = "cgroups, at the scrape; native only"
_V1_OR_NATIVE = "cgroups, or Docker on cgroup v1, at the scrape"
_NOT_PODMAN = "cgroups or Docker, at the scrape; not Podman"
_NOT_PODMAN_4 = "cgroups or the engine, at the scrape; of Podman from release 5 on"
_DECLARED = "the limits in force at the last relist"
_LOOP = "each pass of the loop"
_MACHINE = "the machine of the runtime"

_THROTTLED = "Only of containers with a limit of CPU."


def _counter(name: str, text: str, source: str, labels: tuple[str, ...] = _LABELS) -> Metric:
    return Metric(f"container_{name}_total", Type.COUNTER, labels, text, source)


def _gauge(name: str, text: str, source: str) -> Metric:
    return Metric(f"container_{name}", Type.GAUGE, _LABELS, text, source)


TABLE: tuple[Metric, ...] = (
    _counter(
        "cpu_usage_seconds", "CPU time that the container has used, user and system, of all cores.", _ALL, labels=_CPU
    ),
    _counter("cpu_user_seconds", "CPU time that the container's programs themselves have used.", _ALL),
    _counter("cpu_system_seconds", "CPU time that the kernel has used for the container.", _ALL),
    _counter("cpu_cfs_periods", f"Periods of the limit in which the container ran. {_THROTTLED}", _NOT_PODMAN),
    _counter(
        "cpu_cfs_throttled_periods", f"Those of them in which the container had to wait. {_THROTTLED}", _NOT_PODMAN
    ),
    _counter("cpu_cfs_throttled_seconds", f"How long its threads had to wait. {_THROTTLED}", _NOT_PODMAN),
    _gauge("memory_usage_bytes", "Memory in use, file cache included.", _ALL),
    _gauge(
        "memory_working_set_bytes",
        "Memory in use without inactive file cache: what the OOM killer looks at. Podman does not tell the cache.",
        _ALL,
    ),
    _gauge("memory_rss", "Anonymous memory in use, in bytes.", _NOT_PODMAN),
    _gauge("memory_cache", "File cache in use, shared memory included, in bytes.", _NOT_PODMAN),
    _gauge("memory_mapped_file", "Files that are mapped into memory, in bytes.", _NOT_PODMAN),
    _gauge(
        "memory_swap",
        "Memory that is swapped out, in bytes; absent where the kernel does not count swap.",
        _V1_OR_NATIVE,
    ),
    _counter(
        "fs_reads_bytes",
        "Bytes that the container has read from a block device, what came from the cache not counted.",
        _NATIVE,
        labels=_DEVICE,
    ),
    _counter("fs_reads", "Reads from a block device.", _NATIVE, labels=_DEVICE),
    _counter(
        "fs_writes_bytes",
        "Bytes that the container has written to a block device; cgroup v1 counts only what is written past the cache"
        " or waited for.",
        _NATIVE,
        labels=_DEVICE,
    ),
    _counter("fs_writes", "Writes to a block device.", _NATIVE, labels=_DEVICE),
    _gauge("processes", "Processes of the container, without those in cgroups below its own.", _NATIVE),
    _gauge("threads", "Threads of all its processes: what a limit of pids counts.", _ALL),
    _counter("oom_events", "Processes of the container's present run that were killed for want of memory.", _NATIVE),
    _gauge("spec_cpu_period", "Microseconds over which CPU time is limited.", _DECLARED),
    _gauge("spec_cpu_quota", "Limit of CPU time in a period, in microseconds; absent where there is none.", _DECLARED),
    _gauge("spec_cpu_shares", "Shares of CPU time; on cgroup v2 those from which its weight is made.", _NATIVE),
    _gauge(
        "spec_memory_limit_bytes",
        "The memory limit, natively on cgroup v1 the lowest of its own and of those of the cgroups above; 0 where there"
        " is none.",
        _ALL,
    ),
    _gauge("spec_memory_reservation_limit_bytes", "The memory reservation; 0 where there is none.", _DECLARED),
    _gauge(
        "spec_memory_swap_limit_bytes",
        "The limit of memory and swap together; 0 where there is none, absent where the kernel does not count swap.",
        _V1_OR_NATIVE,
    ),
    _gauge("start_time_seconds", "When the container was started, in seconds since the epoch.", _LOOP),
    _gauge("last_seen", "When the container was last seen, in seconds since the epoch.", _ALL),
    *(
        _counter(f"network_{direction}_{what}", f"{text} that the container {verb}.", source, labels=_INTERFACE)
        for direction, verb in (("receive", "received"), ("transmit", "sent"))
        for what, text, source in (
            ("bytes", "Bytes", f"{_ALL}; of Podman before 5 all interfaces as one"),
            ("packets", "Packets", _NOT_PODMAN_4),
            ("packets_dropped", "Dropped ones of the packets", _NOT_PODMAN_4),
            ("errors", "Errors in packets", _NOT_PODMAN_4),
        )
    ),
    Metric("machine_cpu_cores", Type.GAUGE, (), "Logical cores of the machine.", _MACHINE),
    Metric("machine_memory_bytes", Type.GAUGE, (), "Memory of the machine.", _MACHINE),
)
"""In cAdvisor's own order of subjects."""


def samples(observed: container.ObservedContainer, usage: resource_usage.Usage, now: float) -> Iterator[Sample]:
    """Yield the samples of a container that runs. Its ``id`` is the cgroup's path where that is known."""
    labels = (observed.name, observed.config.image, usage.cgroup or observed.id)
    yield "container_last_seen", labels, now
    yield "container_start_time_seconds", labels, observed.started_at or observed.created_at
    yield from _limits(labels, observed.config.resources)
    yield from _processor(labels, usage)
    if usage.memory is not None:
        yield from _memory(labels, usage.memory)
    for name, count in (
        ("container_processes", usage.processes),
        ("container_threads", usage.threads),
        ("container_oom_events_total", usage.oom_kills),
    ):
        if count is not None:
            yield name, labels, count
    for device in usage.devices:
        yield from _device((*labels, device.name), device)
    for interface in usage.interfaces:
        yield from _interface((*labels, interface.name), interface)


def of_machine(size: machine.Machine | None) -> Iterator[Sample]:
    """Yield the samples of the machine. cAdvisor adds its ids as labels; those of the target say which one it is."""
    if size is not None:
        yield "machine_cpu_cores", (), size.cores
        yield "machine_memory_bytes", (), size.memory


def _limits(labels: tuple[str, ...], resources: container.Resources) -> Iterator[Sample]:
    period = cpu.PERIOD
    if resources.cpu_millis is not None:
        quota, period = cpu.bandwidth(resources.cpu_millis)
        yield "container_spec_cpu_quota", labels, quota
    yield "container_spec_cpu_period", labels, period
    yield "container_spec_memory_reservation_limit_bytes", labels, resources.memory_reservation or 0


def _processor(labels: tuple[str, ...], usage: resource_usage.Usage) -> Iterator[Sample]:
    if usage.cpu is not None:
        yield "container_cpu_usage_seconds_total", (*labels, "total"), usage.cpu.seconds
        if usage.cpu.user_seconds is not None:
            yield "container_cpu_user_seconds_total", labels, usage.cpu.user_seconds
        if usage.cpu.system_seconds is not None:
            yield "container_cpu_system_seconds_total", labels, usage.cpu.system_seconds
    if usage.cpu_shares is not None:
        yield "container_spec_cpu_shares", labels, usage.cpu_shares
    if usage.throttling is not None:
        yield "container_cpu_cfs_periods_total", labels, usage.throttling.periods
        yield "container_cpu_cfs_throttled_periods_total", labels, usage.throttling.throttled_periods
        yield "container_cpu_cfs_throttled_seconds_total", labels, usage.throttling.throttled_seconds


def _memory(labels: tuple[str, ...], memory: resource_usage.Memory) -> Iterator[Sample]:
    yield "container_memory_usage_bytes", labels, memory.usage
    yield "container_memory_working_set_bytes", labels, memory.working_set
    yield "container_spec_memory_limit_bytes", labels, memory.limit or 0
    for name, size in (
        ("container_memory_rss", memory.rss),
        ("container_memory_cache", memory.cache),
        ("container_memory_mapped_file", memory.mapped_file),
        ("container_memory_swap", memory.swap),
        ("container_spec_memory_swap_limit_bytes", memory.swap_limit),
    ):
        if size is not None:
            yield name, labels, size


def _device(labels: tuple[str, ...], device: resource_usage.Device) -> Iterator[Sample]:
    yield "container_fs_reads_bytes_total", labels, device.read_bytes
    yield "container_fs_reads_total", labels, device.reads
    yield "container_fs_writes_bytes_total", labels, device.written_bytes
    yield "container_fs_writes_total", labels, device.writes


def _interface(labels: tuple[str, ...], interface: resource_usage.Interface) -> Iterator[Sample]:
    for name, count in (
        ("container_network_receive_bytes_total", interface.receive_bytes),
        ("container_network_receive_packets_total", interface.receive_packets),
        ("container_network_receive_packets_dropped_total", interface.receive_dropped),
        ("container_network_receive_errors_total", interface.receive_errors),
        ("container_network_transmit_bytes_total", interface.transmit_bytes),
        ("container_network_transmit_packets_total", interface.transmit_packets),
        ("container_network_transmit_packets_dropped_total", interface.transmit_dropped),
        ("container_network_transmit_errors_total", interface.transmit_errors),
    ):
        if count is not None:
            yield name, labels, count
