"""A container: what is wanted of it, and what is seen of it."""

import dataclasses
import enum
from typing import Literal, Self

from agent.kit import canonical, frozen
from agent.model import health, secret
from agent.model.key import Pairs


class TransportProtocol(enum.StrEnum):
    """A published port's transport."""

    TCP = "tcp"
    UDP = "udp"


class NetworkMode(enum.StrEnum):
    """Where a container's network stack comes from."""

    NETWORKS = "networks"
    """Its own namespace, attached to ``ContainerConfig.networks``."""
    HOST = "host"
    NONE = "none"
    """Its own namespace with nothing but loopback."""


class RestartPolicy(enum.StrEnum):
    """When a container that ended is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    UNLESS_STOPPED = "UnlessStopped"
    NEVER = "Never"


class DependencyCondition(enum.StrEnum):
    """What a container waits for in another one before it starts."""

    STARTED = "Started"
    HEALTHY = "Healthy"
    COMPLETED = "Completed"


class SeccompProfile(enum.StrEnum):
    """Which system calls a container may make."""

    DEFAULT = "Default"
    UNCONFINED = "Unconfined"


class UpdateStrategy(enum.StrEnum):
    """How a container that cannot be changed in place is replaced."""

    RECREATE = "Recreate"


@frozen.value(order=True)
class PortMapping:
    """A container's port that the host answers for."""

    host_port: int
    container_port: int
    protocol: TransportProtocol
    address: str
    """The host's IPv4 address it is published on; ``0.0.0.0`` for all."""

    def __str__(self) -> str:
        """Give Docker's short form."""
        return f"{self.address}:{self.host_port}:{self.container_port}/{self.protocol.value}"


@frozen.value(order=True)
class NetworkAttachment:
    """A container's place in one network."""

    network: str
    aliases: tuple[str, ...] = ()
    """More names that DNS answers in this network; the container's own name always resolves."""
    ipv4: str | None = None
    """The address asked for; ``None`` lets the runtime choose."""


@frozen.value(order=True)
class VolumeMount:
    """A named volume in the container's tree."""

    volume: str
    path: str
    read_only: bool
    type: Literal["volume"] = "volume"


@frozen.value(order=True)
class BindMount:
    """A file or directory of the host in the container's tree."""

    source: str
    path: str
    read_only: bool
    type: Literal["bind"] = "bind"


@frozen.value(order=True)
class TmpfsMount:
    """Memory in the container's tree, empty at each start."""

    path: str
    size: int | None
    """Bytes; ``None`` for the kernel's own limit (half of the memory)."""
    read_only: bool = False
    type: Literal["tmpfs"] = "tmpfs"


Mount = VolumeMount | BindMount | TmpfsMount


@frozen.value
class BackoffConfig:
    """How long a failing container waits before it is started again: initial, doubled each time, up to a maximum."""

    initial: float
    maximum: float
    reset: float
    """A run at least this long ends the streak of failures."""


@frozen.value
class RestartConfig:
    """The agent's own restart policy; no runtime is asked to restart anything by itself."""

    policy: RestartPolicy
    backoff: BackoffConfig


@frozen.value
class Resources:
    """Limits; ``None`` is no limit."""

    cpu_millis: int | None
    """Thousandths of a core."""
    memory: int | None
    """Bytes; swap is not granted on top."""
    memory_reservation: int | None
    pids: int | None


@frozen.value
class Security:
    """What a container may do."""

    user: str
    """``user[:group]`` by name or number, looked up in the image; empty for the image's own."""
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    """Capability names without ``CAP_``, sorted; ``ALL`` is allowed in both."""
    read_only_rootfs: bool
    no_new_privileges: bool
    seccomp: SeccompProfile


@frozen.value
class StopConfig:
    """How a container is asked to end."""

    signal: str
    """A signal's name, or empty for the image's own (SIGTERM where it has none)."""
    grace_period: float


@frozen.value(order=True)
class Dependency:
    """Another container that must have got somewhere before this one starts."""

    container: str
    condition: DependencyCondition


@frozen.value
class Supervision:
    """What the agent itself does with a container: declared anew, it holds at once and touches nothing that runs."""

    restart: RestartConfig
    health: health.HealthConfig
    stop: StopConfig
    update: UpdateStrategy
    depends_on: tuple[Dependency, ...]


@frozen.value
class ContainerConfig:
    """One instance of a container as it is wanted: fully lowered, nothing left to default."""

    name: str
    """The instance's own."""
    image: str
    """The reference under which the runtime knows the image."""
    labels: Pairs
    """Those that the user declared."""
    command: tuple[str, ...] | None
    """Replaces ENTRYPOINT; ``None`` keeps the image's."""
    args: tuple[str, ...] | None
    """Replaces CMD; ``None`` keeps the image's, unless ``command`` is given (as Kubernetes does)."""
    env: Pairs
    working_dir: str
    """Empty for the image's own."""
    hostname: str
    ports: tuple[PortMapping, ...]
    network_mode: NetworkMode
    networks: tuple[NetworkAttachment, ...]
    mounts: tuple[Mount, ...]
    restart: RestartConfig
    health: health.HealthConfig
    resources: Resources
    security: Security
    stop: StopConfig
    update: UpdateStrategy
    depends_on: tuple[Dependency, ...]
    secret_env: tuple[secret.SecretVariable, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Variables with values of Secrets, sorted; none of them is in ``env``."""
    ordinal: int = dataclasses.field(default=0, metadata=canonical.absent(0))
    """Which instance of the declared container it is, or which run (``model.instances``); the name says so too."""

    @property
    def supervision(self) -> Supervision:
        """Return the fields that only the agent acts on."""
        return Supervision(self.restart, self.health, self.stop, self.update, self.depends_on)

    def supervised(self, supervision: Supervision) -> Self:
        """Return the same container under another supervision."""
        fields = {field.name: getattr(supervision, field.name) for field in dataclasses.fields(Supervision)}
        return dataclasses.replace(self, **fields)


class ContainerState(enum.StrEnum):
    """Where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@frozen.value
class ObservedContainer:
    """A container as the runtime has it."""

    id: str
    name: str
    """The runtime's name for it; differs from the declared name only while it is replaced."""
    config: ContainerConfig
    """What the runtime really has, translated back. Its supervision is what was declared last: every runtime keeps it,
    since a container that is no longer declared has to be stopped as it was declared."""
    labels: Pairs
    """All, ownership included."""
    image_id: str
    """Digest of the image config that it was created from."""
    state: ContainerState
    pid: int | None
    exit_code: int | None
    oom_killed: bool
    stop_requested: bool
    """It ended because the runtime was asked to stop it."""
    created_at: float
    started_at: float | None
    finished_at: float | None
    addresses: Pairs
    """(network, IPv4 address) for each attachment of a running container."""
    unreadable: str = dataclasses.field(default="", metadata=canonical.absent(""))
    """Why it cannot be said what it was made from, and the way out: of ``config`` only the name, and how it is stopped,
    hold. Empty where it can."""
