"""Probes, and what they have found out."""

import enum
from typing import Literal

from agent.kit import frozen


@frozen.value
class ExecProbe:
    """Healthy when the command, run in the container, exits with 0."""

    command: tuple[str, ...]
    type: Literal["exec"] = "exec"


@frozen.value
class HttpProbe:
    """Healthy when GET answers with 200 to 399."""

    port: int
    path: str
    scheme: Literal["http", "https"]
    headers: tuple[tuple[str, str], ...]
    type: Literal["http"] = "http"


@frozen.value
class TcpProbe:
    """Healthy when the port accepts a connection."""

    port: int
    type: Literal["tcp"] = "tcp"


ProbeAction = ExecProbe | HttpProbe | TcpProbe


@frozen.value
class Probe:
    """One check and its rhythm, as in Kubernetes."""

    action: ProbeAction
    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int


@frozen.value
class HealthConfig:
    """The three probes of a container, each optional."""

    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None


class Health(enum.StrEnum):
    """What all probes of a container come to; a metric's label."""

    HEALTHY = "healthy"
    STARTING = "starting"
    """Its probes have neither succeeded nor said anything against it yet."""
    UNREADY = "unready"
    UNHEALTHY = "unhealthy"
    """A liveness or startup probe has failed for good: it is to be restarted."""


@frozen.value(order=True)
class ObservedHealth:
    """What the probes say of one run of one container."""

    container_id: str
    started: bool
    """The startup probe has succeeded, or there is none."""
    ready: bool
    """Started, and the readiness probe (where there is one) succeeds: what ``dependsOn: Healthy`` waits for."""
    alive: bool
    """False once the liveness or startup probe has failed ``failure_threshold`` times in a row."""
    message: str
    """The last failing probe's own words; empty when all is well."""
    failed_at: float | None
    """When ``alive`` became false."""

    @property
    def health(self) -> Health:
        """Sum it up."""
        if not self.alive:
            return Health.UNHEALTHY
        if not self.started or not (self.ready or self.message):
            return Health.STARTING
        return Health.HEALTHY if self.ready else Health.UNREADY
