"""What a container uses, as the kernel counts it. What nobody tells is ``None`` and never 0."""

from agent.kit import frozen


@frozen.value
class Cpu:
    """CPU time so far, in seconds."""

    seconds: float
    user_seconds: float | None = None
    system_seconds: float | None = None


@frozen.value
class Throttling:
    """What a quota of CPU time has done so far."""

    periods: int
    """Those in which something wanted to run."""
    throttled_periods: int
    throttled_seconds: float


@frozen.value
class Memory:
    """Memory in use, in bytes."""

    usage: int
    working_set: int
    """Usage less inactive file cache, as kubelet and cAdvisor count it: what the OOM killer looks at."""
    limit: int | None
    """``None`` where there is none."""
    rss: int | None = None
    """Anonymous memory."""
    cache: int | None = None
    """File cache, shared memory included."""
    swap: int | None = None
    mapped_file: int | None = None
    swap_limit: int | None = None
    """The limit of memory and swap together; 0 where there is none."""


@frozen.value
class Device:
    """What was read from and written to a block device so far."""

    name: str
    """``/dev/sda``, or ``MAJOR:MINOR`` of one that is not on this host any more."""
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int


@frozen.value
class Interface:
    """Counters of one of a container's interfaces, seen from inside, in the order of /proc/net/dev."""

    name: str
    receive_bytes: int | None = None
    receive_packets: int | None = None
    receive_errors: int | None = None
    receive_dropped: int | None = None
    transmit_bytes: int | None = None
    transmit_packets: int | None = None
    transmit_errors: int | None = None
    transmit_dropped: int | None = None


@frozen.value
class Usage:
    """What a running container uses."""

    cgroup: str = ""
    """The path of its cgroup from its hierarchy's root, with a leading slash; empty where nobody tells."""
    cpu: Cpu | None = None
    throttling: Throttling | None = None
    """Only where a quota is set."""
    cpu_shares: int | None = None
    memory: Memory | None = None
    processes: int | None = None
    threads: int | None = None
    """Of all its processes: what its limit of processes counts."""
    oom_kills: int | None = None
    devices: tuple[Device, ...] = ()
    interfaces: tuple[Interface, ...] = ()
