"""Probe results to health, as kubelet counts them: a pure state machine."""

import dataclasses
from typing import Literal, get_args

from agent.kit import frozen
from agent.model import health

Kind = Literal["startup", "readiness", "liveness"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@frozen.value
class Streak:
    """Consecutive results of one probe."""

    successes: int = 0
    failures: int = 0
    message: str = ""
    """The last result's message, if it was a failure."""

    def after(self, failure: str | None) -> "Streak":
        """Return the streak with one more result: a failure's message, or ``None`` for a success."""
        return Streak(self.successes + 1, 0) if failure is None else Streak(0, self.failures + 1, failure)


@frozen.value
class ProbeState:
    """The state of the probes of one run of a container."""

    config: health.HealthConfig
    started: bool
    ready: bool
    failed_at: float | None = None
    streaks: tuple[tuple[str, Streak], ...] = ()

    @property
    def alive(self) -> bool:
        """False once a startup or liveness probe has reached its failure threshold; only a new run resets it."""
        return self.failed_at is None

    @property
    def message(self) -> str:
        """The message of a failing probe; empty where none fails. Startup and liveness, which restart, come first."""
        failing = {kind: streak.message for kind, streak in self.streaks if streak.failures}
        if not failing:
            return ""
        return next(f"{kind}: {failing[kind]}" for kind in ("startup", "liveness", "readiness") if kind in failing)

    def active(self) -> tuple[Kind, ...]:
        """Return the probes that run now: the startup probe alone until it has succeeded.

        After a failure for good only readiness runs, if the run had started.
        """
        if not self.alive:
            return ("readiness",) if self.started and self.config.readiness is not None else ()
        if self.config.startup is not None and not self.started:
            return ("startup",)
        kinds: tuple[Kind, ...] = ("readiness", "liveness")
        return tuple(kind for kind in kinds if probe_of(self.config, kind) is not None)

    def after(self, kind: Kind, *, success: bool, message: str, now: float) -> "ProbeState":
        """Return the state after one more result."""
        probe = probe_of(self.config, kind)
        if probe is None or kind not in self.active():
            return self
        streak = dict(self.streaks).get(kind, Streak()).after(None if success else message)
        taken = dataclasses.replace(self, streaks=tuple(sorted({**dict(self.streaks), kind: streak}.items())))
        if streak.successes >= probe.success_threshold:
            return _succeeded(taken, kind)
        if streak.failures >= probe.failure_threshold:
            return _failed(taken, kind, now)
        return taken


def begin(config: health.HealthConfig) -> ProbeState:
    """Return the state of a new run: without startup and readiness probes it is started and ready."""
    started = config.startup is None
    return ProbeState(config, started=started, ready=started and config.readiness is None)


def probe_of(config: health.HealthConfig, kind: Kind) -> health.Probe | None:
    """Return the probe of a kind; ``None`` where it is not configured."""
    return {"startup": config.startup, "readiness": config.readiness, "liveness": config.liveness}[kind]


def observed(container_id: str, state: ProbeState) -> health.ObservedHealth:
    """Return the observed health of a container, as the plan reads it."""
    return health.ObservedHealth(
        container_id=container_id,
        started=state.started,
        ready=state.ready,
        alive=state.alive,
        message=state.message,
        failed_at=state.failed_at,
    )


def _succeeded(state: ProbeState, kind: Kind) -> ProbeState:
    if kind == "startup":
        return dataclasses.replace(state, started=True, ready=state.config.readiness is None)
    return dataclasses.replace(state, ready=True) if kind == "readiness" else state


def _failed(state: ProbeState, kind: Kind, now: float) -> ProbeState:
    if kind == "readiness":
        return dataclasses.replace(state, ready=False)
    return state if state.failed_at is not None else dataclasses.replace(state, failed_at=now, ready=False)
