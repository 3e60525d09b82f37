"""A container as the engine is asked to run it: nouns, close to the OCI runtime specification's."""

import dataclasses
import enum
import ipaddress
from typing import TypeAlias

from agent.kit import canonical, frozen

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class NetworkMode(enum.StrEnum):
    """Where the network stack comes from."""

    ATTACHED = "attached"
    """A namespace of its own, attached to networks (perhaps none)."""
    HOST = "host"


@frozen.value
class Attachment:
    """A place in one network."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: ipaddress.IPv4Address | None = None
    """The address that it has to be; ``None``: a free one."""


@frozen.value
class Port:
    """A published port."""

    address: Address
    """The host's address; ``0.0.0.0`` for all."""
    host: int
    container: int
    protocol: str
    """``tcp`` or ``udp``."""


@frozen.value
class Mount:
    """Something in the container's tree: a named volume, a path of the host, or memory."""

    type: str
    """``volume``, ``bind`` or ``tmpfs``."""
    source: str
    """The volume's name, the host's path; empty for tmpfs."""
    path: str
    read_only: bool = False
    size: int | None = None
    """Bytes of a tmpfs; ``None`` for the kernel's default."""


@frozen.value
class Limits:
    """Resource limits; ``None`` is none."""

    cpu_millis: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None
    pids: int | None = None


@frozen.value
class Process:
    """What runs; what is ``None`` or empty comes from the image."""

    command: tuple[str, ...] | None = None
    """Replaces ENTRYPOINT, and drops the image's CMD."""
    args: tuple[str, ...] | None = None
    """Replaces CMD."""
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    env_at_start: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Names of more variables, whose values are given at each start and are in no record."""


@frozen.value
class Confinement:
    """What it may do, as changes to Docker's defaults."""

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only_rootfs: bool = False
    no_new_privileges: bool = True
    seccomp: bool = True


@frozen.value
class ContainerSpec:
    """A container as it is asked for. Kept in the records as JSON, so every field is a plain value."""

    image: str
    """The reference in the image store."""
    process: Process
    hostname: str
    network_mode: NetworkMode
    attachments: tuple[Attachment, ...]
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    limits: Limits
    confinement: Confinement
    stop_signal: str = ""
    """Empty: the image's, or SIGTERM."""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    """Kept for the caller, meaningless to the engine."""
