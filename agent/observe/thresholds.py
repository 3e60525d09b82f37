"""Probe results to health, as kubelet counts them: a pure state machine."""

import dataclasses
from typing import Literal

from agent.model import health

Kind = Literal["startup", "readiness", "liveness"]


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """Results in a row of one probe."""

    successes: int = 0
    failures: int = 0

    def after(self, success: bool) -> "Count":  # noqa: FBT001 - the one thing there is to say
        """Count one more result."""
        return Count(self.successes + 1, 0) if success else Count(0, self.failures + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What the probes have found of one run of a container."""

    config: health.HealthConfig
    started: bool
    ready: bool
    failed_at: float | None = None
    message: str = ""
    counts: tuple[tuple[str, Count], ...] = ()

    @property
    def alive(self) -> bool:
        """False for good once a startup or liveness probe has failed often enough: only a new run mends that."""
        return self.failed_at is None

    def active(self) -> tuple[Kind, ...]:
        """Give the probes that run now: the startup probe alone until it has succeeded."""
        if self.config.startup is not None and not self.started:
            return ("startup",)
        kinds: tuple[Kind, ...] = ("readiness", "liveness")
        return tuple(kind for kind in kinds if probe_of(self.config, kind) is not None)

    def after(self, kind: Kind, *, success: bool, message: str, now: float) -> "Run":
        """Take a result in."""
        probe = probe_of(self.config, kind)
        if probe is None or kind not in self.active():
            return self
        count = dict(self.counts).get(kind, Count()).after(success)
        counts = tuple(sorted({**dict(self.counts), kind: count}.items()))
        taken = dataclasses.replace(self, counts=counts, message="" if success else f"{kind}: {message}")
        if count.successes >= probe.success_threshold:
            return _succeeded(taken, kind)
        if count.failures >= probe.failure_threshold:
            return _failed(taken, kind, now)
        return taken


def begin(config: health.HealthConfig) -> Run:
    """Begin a run: without a probe to say otherwise, it is started and ready."""
    started = config.startup is None
    return Run(config, started=started, ready=started and config.readiness is None)


def probe_of(config: health.HealthConfig, kind: Kind) -> health.Probe | None:
    """Give one of the probes."""
    return {"startup": config.startup, "readiness": config.readiness, "liveness": config.liveness}[kind]


def observed(container_id: str, run: Run) -> health.ObservedHealth:
    """Say a run's health as the plan reads it."""
    return health.ObservedHealth(
        container_id=container_id,
        started=run.started,
        ready=run.ready,
        alive=run.alive,
        message=run.message,
        failed_at=run.failed_at,
    )


def _succeeded(run: Run, kind: Kind) -> Run:
    if kind == "startup":
        return dataclasses.replace(run, started=True, ready=run.config.readiness is None)
    return dataclasses.replace(run, ready=True) if kind == "readiness" else run


def _failed(run: Run, kind: Kind, now: float) -> Run:
    if kind == "readiness":
        return dataclasses.replace(run, ready=False)
    return run if run.failed_at is not None else dataclasses.replace(run, failed_at=now, ready=False)
