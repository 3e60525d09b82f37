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
    message: str = ""
    """What the last result said, if it was a failure."""

    def after(self, failure: str | None) -> "Count":
        """Count one more result: a failure's words, or ``None``."""
        return Count(self.successes + 1, 0) if failure is None else Count(0, self.failures + 1, failure)


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What the probes have found of one run of a container."""

    config: health.HealthConfig
    started: bool
    ready: bool
    failed_at: float | None = None
    counts: tuple[tuple[str, Count], ...] = ()

    @property
    def alive(self) -> bool:
        """False for good once a startup or liveness probe has failed often enough: only a new run mends that."""
        return self.failed_at is None

    @property
    def message(self) -> str:
        """The words of a probe that fails now; empty where none does. What a restart follows from comes first."""
        said = {kind: count.message for kind, count in self.counts if count.failures}
        return next((f"{kind}: {said[kind]}" for kind in ("startup", "liveness", "readiness") if kind in said), "")

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
        count = dict(self.counts).get(kind, Count()).after(None if success else message)
        taken = dataclasses.replace(self, counts=tuple(sorted({**dict(self.counts), kind: count}.items())))
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
