"""Kind Container."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1 import container_forms as texts
from agent.manifests.v1.base import Model
from agent.manifests.v1.forms import AbsolutePath, Address, Bytes, Cores, Duration, Name, Port

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is published, is meant for everybody unless an address is given


class ImageName(Model):
    """The name of an Image manifest."""

    name: Name = Field(description="The name of an Image in the same source.")


ENVIRONMENT_VALUE = "a text, number or true/false, or {secret: NAME, key: KEY}"


class EnvironmentSource(Model):
    """A value of a Secret: it is looked up when the container is made or started, and written nowhere by the agent."""

    secret: Name = Field(description="The name of a Secret of type Opaque in the same source.")
    key: forms.SecretKey = Field(description="Which of its values.")
    config: Annotated[object, base.NotBuilt("name a secret, or an env file in envFile")] = Field(
        default=None, description="Not built yet: refused."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _is_reference(cls, value: dict[str, object]) -> dict[str, object]:
        if not {"secret", "config"} & value.keys():  # {abc} is a password for many
            raise forms.InvalidField(f"must be {ENVIRONMENT_VALUE}", hint="quote it where it is meant as a text")
        return value


EnvironmentValue = Annotated[
    Annotated[texts.EnvironmentText, base.TEXT] | Annotated[EnvironmentSource, base.MAPPING],
    base.by_shape(f"must be {ENVIRONMENT_VALUE}", scalars=True),
]


class PortSpec(Model):
    """A published port."""

    host: Port = Field(description="The host's port.")
    container: Port = Field(description="The container's port.")
    protocol: texts.Protocol = Field(default="tcp", description="The transport protocol.")
    address: Address = Field(default=EVERYWHERE, description="The host's IPv4 address; 0.0.0.0 is all of them.")


class NetworkRef(Model):
    """A connection to a network."""

    name: Name = Field(description="The name of a Network in the same source.")
    aliases: list[Name] = Field(default_factory=list, description="More names that DNS answers in this network.")
    ipv4: Address | None = Field(default=None, description="A fixed address; without it one is chosen.")


NetworkEntry = Annotated[
    Annotated[Name, base.TEXT] | Annotated[NetworkRef, base.MAPPING],
    base.by_shape("must be a network's name, or {name: NETWORK, ipv4: ADDRESS}"),
]


class MountSpec(Model):
    """A mount in the container: exactly one of volume, bind and tmpfs."""

    model_config = base.exactly_one_of("volume", "bind", "tmpfs")

    volume: Name | None = Field(default=None, description="The name of a Volume in the same source.")
    bind: AbsolutePath | None = Field(default=None, description="An absolute path of the host; it has to exist.")
    tmpfs: forms.NonzeroBytes | None = Field(
        default=None, description="Memory, of at most this size; empty at each start."
    )
    secret: Annotated[object, base.NotBuilt("use env: {NAME: {secret: NAME, key: KEY}}, or a bind mount")] = Field(
        default=None, description="Not built yet: refused."
    )
    path: texts.MountPath = Field(description="Where it is in the container: an absolute path.")
    read_only: bool = Field(default=False, description="Whether the container may only read it.")

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> "MountSpec":
        if sum(source is not None for source in (self.volume, self.bind, self.tmpfs)) != 1:
            raise forms.InvalidField("must have exactly one of volume, bind and tmpfs")
        return self


class BackoffSpec(Model):
    """Delays before restarts of a failing container: none, initial, twice that, and so on up to max."""

    initial: texts.Wait = Field(
        default="1s", description="The wait after the second failure in a row.", validate_default=True
    )
    max: Duration = Field(default="5m", description="The longest wait.", validate_default=True)
    reset: Duration = Field(
        default="10m", description="A run of this length ends the row of failures.", validate_default=True
    )

    @pydantic.model_validator(mode="after")
    def _grows(self) -> "BackoffSpec":
        if self.max < self.initial:
            raise forms.InvalidField(f"must not be shorter than initial, which is {self.initial:g}s", at="max")
        return self


class RestartSpec(Model):
    """When the container is restarted, and after which delays."""

    policy: Literal["Always", "OnFailure", "UnlessStopped", "Never"] = Field(
        default="Always", description="When the container is started again."
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="How long restarts wait.")


class HttpGet(Model):
    """A GET request; a status of 200 to 399 is success."""

    port: Port = Field(description="The container's port.")
    path: texts.HttpPath = Field(default="/", description="Path and query.")
    scheme: Literal["http", "https"] = Field(default="http", description="https does not verify the certificate.")
    headers: dict[texts.HeaderName, texts.HeaderValue] = Field(default_factory=dict, description="Request headers.")


class TcpConnect(Model):
    """A TCP connection; being accepted is success."""

    port: Port = Field(description="The container's port.")


class ProbeSpec(Model):
    """One check: exactly one of exec, http and tcp, with its period and thresholds."""

    model_config = base.exactly_one_of("exec", "http", "tcp")

    exec: texts.Words | None = Field(
        default=None, min_length=1, description="A command in the container; 0 is success."
    )
    http: HttpGet | None = Field(default=None, description="A GET request to the container's address.")
    tcp: TcpConnect | None = Field(default=None, description="A connection to the container's address.")
    initial_delay: Duration = Field(default="0s", description="The wait before the first check.", validate_default=True)
    period: texts.Wait = Field(default="10s", description="The time between checks.", validate_default=True)
    timeout: texts.Wait = Field(default="1s", description="When a check counts as failed.", validate_default=True)
    success_threshold: int = Field(default=1, ge=1, le=1000, description="Successes in a row that count as success.")
    failure_threshold: int = Field(default=3, ge=1, le=1000, description="Failures in a row that count as failure.")

    @pydantic.model_validator(mode="after")
    def _one_check(self) -> "ProbeSpec":
        if sum(check is not None for check in (self.exec, self.http, self.tcp)) != 1:
            raise forms.InvalidField("must have exactly one of exec, http and tcp")
        return self


class HealthSpec(Model):
    """Probes that decide whether the container has started, is ready and is alive."""

    startup: ProbeSpec | None = Field(
        default=None,
        description="Until it succeeds the others wait; at its failure threshold, the container is restarted.",
    )
    readiness: ProbeSpec | None = Field(
        default=None, description="Whether it is ready: what dependsOn Healthy waits for."
    )
    liveness: ProbeSpec | None = Field(
        default=None, description="At its failure threshold, the container is restarted."
    )


class ResourcesSpec(Model):
    """Resource limits; without a value there is no limit."""

    cpus: Cores | None = Field(default=None, description="Cores, as 0.5 or 500m.")
    memory: forms.Memory | None = Field(default=None, description="Memory with swap; 6Mi at least.")
    memory_reservation: Bytes | None = Field(default=None, description="Memory that is kept when it gets scarce.")
    pids: int | None = Field(default=None, ge=1, le=4_194_304, description="Processes and threads.")

    @pydantic.model_validator(mode="after")
    def _reserved_is_allowed(self) -> "ResourcesSpec":
        if self.memory is not None and self.memory_reservation is not None and self.memory_reservation > self.memory:
            raise forms.InvalidField("must not be more than memory", at="memoryReservation")
        return self


class CapabilitiesSpec(Model):
    """Changes to the default capabilities, named without CAP_."""

    add: list[texts.Capability] = Field(default_factory=list, description="Capabilities to add; ALL is every one.")
    drop: list[texts.Capability] = Field(
        default_factory=list, description="Capabilities to take away; ALL is every one."
    )


class SecuritySpec(Model):
    """The container's user and privileges."""

    user: texts.User = Field(default="", description="user[:group], by name or number; without it, the image's.")
    capabilities: CapabilitiesSpec = Field(default_factory=CapabilitiesSpec, description="Changes to the default ones.")
    read_only_rootfs: bool = Field(default=False, description="Whether only mounts can be written to.")
    no_new_privileges: bool = Field(default=True, description="Whether set-uid programs gain nothing.")
    seccomp: Literal["Default", "Unconfined"] = Field(
        default="Default", description="Default is the distribution's profile."
    )


class StopSpec(Model):
    """How the container is stopped."""

    signal: texts.Signal = Field(
        default="", description="The signal, as SIGQUIT or 3; without it, the image's, or SIGTERM."
    )
    grace_period: Duration = Field(
        default="10s", description="How long it may take before it is killed.", validate_default=True
    )


class UpdateSpec(Model):
    """How the container is replaced where it cannot be changed in place."""

    strategy: Literal["Recreate", "StartFirst"] = Field(
        default="Recreate", description="Recreate stops the old one first. StartFirst is not built yet: refused."
    )
    auto_rollback: bool = Field(default=False, description="Not built yet: true is refused.")
    progress_deadline: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")

    @pydantic.field_validator("strategy")
    @classmethod
    def _built(cls, value: str) -> str:
        if value == "StartFirst":
            raise forms.InvalidField("must be Recreate: StartFirst is not built yet")
        return value

    @pydantic.field_validator("auto_rollback")
    @classmethod
    def _no_rollback(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's protocol
        if value:
            raise forms.InvalidField("must be false: rolling back is not built yet")
        return value


class DependencySpec(Model):
    """Another container that has to reach a condition first."""

    container: Name = Field(description="The name of a Container in the same source.")
    condition: Literal["Started", "Healthy", "Completed"] = Field(
        default="Started", description="The condition to wait for; Completed: ended with exit code 0."
    )


DependencyEntry = Annotated[
    Annotated[Name, base.TEXT] | Annotated[DependencySpec, base.MAPPING],
    base.by_shape("must be a container's name, or {container: NAME, condition: Healthy}"),
]


class ContainerSpec(Model):
    """The container's image, command, environment, mounts, networks and limits."""

    image: Annotated[
        Annotated[str, base.TEXT] | Annotated[ImageName, base.MAPPING],
        base.by_shape("must be a reference like nginx:1.27, or {name: IMAGE}"),
    ] = Field(description="A reference, as nginx:1.27, or the name of an Image manifest.")
    command: texts.Words | None = Field(default=None, description="Replaces the image's ENTRYPOINT, and drops its CMD.")
    args: texts.Words | None = Field(default=None, description="Replaces the image's CMD.")
    env: dict[texts.EnvironmentName, EnvironmentValue] = Field(
        default_factory=dict,
        description="Environment variables; numbers, true and false are taken as they are written. A value may be"
        " {secret: NAME, key: KEY}.",
    )
    env_file: list[texts.SourcePath] = Field(
        default_factory=list,
        max_length=100,
        description="Files of NAME=VALUE lines, as docker run --env-file takes them, below the source's folder; a"
        " relative path starts at the manifest. Later files win, and env wins over all.",
    )
    working_dir: texts.WorkingDirectory = Field(default="", description="Without it, the image's.")
    hostname: texts.HostName = Field(default="", description="Without it, the name.")
    ports: list[
        Annotated[Annotated[texts.ShortPort, base.TEXT] | Annotated[PortSpec, base.MAPPING], base.by_shape(texts.PORT)]
    ] = Field(default_factory=list, description="Published ports, also in short: 127.0.0.1:8080:80/tcp.")
    networks: Annotated[
        Annotated[texts.NetworkWord, base.TEXT] | Annotated[list[NetworkEntry], base.LIST],
        base.by_shape("must be bridge, host, none, or a list of networks"),
    ] = Field(
        default="bridge", description="Its networks; bridge: the default one, host: the host's, none: only loopback."
    )
    mounts: list[MountSpec] = Field(
        default_factory=list, description="Volumes, bind mounts of the host's paths, and tmpfs."
    )
    restart: RestartSpec = Field(default_factory=RestartSpec, description="When the container is restarted.")
    health: HealthSpec = Field(default_factory=HealthSpec, description="Startup, readiness and liveness probes.")
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec, description="Limits.")
    security: SecuritySpec = Field(default_factory=SecuritySpec, description="User, capabilities and privileges.")
    stop: StopSpec = Field(default_factory=StopSpec, description="The stop signal and the grace period.")
    update: UpdateSpec = Field(default_factory=UpdateSpec, description="How the container is replaced.")
    depends_on: list[DependencyEntry] = Field(
        default_factory=list,
        description="Containers that must reach a condition before this one starts; of a name alone: Started.",
    )

    @property
    def sources(self) -> dict[str, EnvironmentSource]:
        """The variables of ``env`` whose values come from somewhere else."""
        return {name: value for name, value in self.env.items() if isinstance(value, EnvironmentSource)}

    @property
    def dependencies(self) -> list[DependencySpec]:
        """The entries of ``dependsOn``, a name alone written out."""
        entries = self.depends_on
        return [DependencySpec(container=entry) if isinstance(entry, str) else entry for entry in entries]


class Container(Model):
    """A container to run on the host."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Container"] = Field(description="Container.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: ContainerSpec = Field(description="The container's configuration.")
