"""Runs probes at their periods: one task per probe of a running container, none for containers without probes."""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Self

from agent.kit import clock, frozen, tasks
from agent.model import container
from agent.model import health as healths
from agent.observe import checks, thresholds
from agent.runtime import api

_LOOPBACK = "127.0.0.1"


@frozen.value
class ProbeResult:
    """The outcome of one check, for logs and metrics."""

    container: str
    probe: thresholds.Kind
    outcome: checks.ProbeOutcome
    message: str
    duration: float


@frozen.value
class ProbedInstance:
    """One run of one container: a restart makes another one."""

    name: str
    container_id: str
    started_at: float
    address: str | None
    """``None`` for a container without an address."""
    config: healths.HealthConfig
    number: int = dataclasses.field(compare=False)
    """Distinguishes its tasks from those of an earlier one of the same run, which may still be ending."""


class Prober:
    """Probes running containers. ``on_change`` is called when a container's health has changed."""

    def __init__(
        self,
        runtime: api.Runtime,
        time: clock.Clock,
        on_change: Callable[[], None],
        on_result: Callable[[ProbeResult], None],
    ) -> None:
        """Start without containers."""
        self._runtime = runtime
        self._clock = time
        self._on_change = on_change
        self._on_result = on_result
        self._crew = tasks.Crew()
        self._probed: dict[str, tuple[ProbedInstance, thresholds.ProbeState]] = {}
        self._health: dict[str, healths.ObservedHealth] = {}
        """Health by container id: read twice in each pass, and changed by checks only."""
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        await self._crew.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._crew.__aexit__(*error)

    def track(
        self, desired: Iterable[container.ContainerConfig], observed: Iterable[container.ObservedContainer]
    ) -> None:
        """Start probing containers that have started, stop probing those that have ended."""
        configs = {config.name: config.health for config in desired}
        instances = {
            running.id: ProbedInstance(
                running.name,
                running.id,
                running.started_at or 0.0,
                _address(running),
                configs[running.name],
                next(self._numbers),
            )
            for running in observed
            if running.state is container.ContainerState.RUNNING and running.name in configs
        }
        for container_id, (instance, _) in list(self._probed.items()):
            if instances.get(container_id) != instance:
                self._end(instance)
        for container_id, instance in instances.items():
            if container_id not in self._probed and instance.config != _NO_PROBES:
                self._keep(instance, thresholds.begin(instance.config))
                self._start(instance)

    def health(self) -> tuple[healths.ObservedHealth, ...]:
        """Return the health of every probed container, sorted by id."""
        return tuple(self._health[container_id] for container_id in sorted(self._health))

    def _keep(self, instance: ProbedInstance, state: thresholds.ProbeState) -> None:
        self._probed[instance.container_id] = (instance, state)
        self._health[instance.container_id] = thresholds.observed(instance.container_id, state)

    def _start(self, instance: ProbedInstance) -> None:
        _, state = self._probed[instance.container_id]
        for kind in state.active():
            name = _task(instance, kind)
            if name not in self._crew:
                self._crew.start(self._watch(instance, kind), name=name)

    def _end(self, instance: ProbedInstance) -> None:
        self._probed.pop(instance.container_id, None)
        self._health.pop(instance.container_id, None)
        for kind in thresholds.KINDS:
            self._crew.cancel(_task(instance, kind))

    async def _watch(self, instance: ProbedInstance, kind: thresholds.Kind) -> None:
        """Check at the probe's period, until the run has ended or the probe is done (startup)."""
        probe = thresholds.probe_of(instance.config, kind)
        if probe is None:
            return
        age = max(0.0, self._clock.now() - instance.started_at)  # an agent that comes later need not wait again
        await asyncio.sleep(max(0.0, probe.initial_delay - age))
        while self._is_tracked(instance):
            begun = self._clock.monotonic()
            answer = await self._check(instance, probe)
            if not self._is_tracked(instance):
                return
            took = self._clock.monotonic() - begun
            self._on_result(ProbeResult(instance.name, kind, answer.outcome, answer.message, took))
            self._take(instance, kind, answer)
            if kind not in self._probed[instance.container_id][1].active():
                return
            await asyncio.sleep(max(probe.period - took, 0.0))

    def _is_tracked(self, instance: ProbedInstance) -> bool:
        return self._probed.get(instance.container_id, (None, None))[0] is instance

    def _take(self, instance: ProbedInstance, kind: thresholds.Kind, answer: checks.CheckResult) -> None:
        if answer.outcome is checks.ProbeOutcome.UNKNOWN:
            return
        _, before = self._probed[instance.container_id]
        success = answer.outcome is checks.ProbeOutcome.SUCCESS
        after = before.after(kind, success=success, message=answer.message, now=self._clock.now())
        self._keep(instance, after)
        if _judgement(before) != _judgement(after):
            self._start(instance)
            self._on_change()

    async def _check(self, instance: ProbedInstance, probe: healths.Probe) -> checks.CheckResult:
        try:
            async with asyncio.timeout(probe.timeout):
                return await self._ask(instance, probe.action)
        except TimeoutError:
            return checks.CheckResult(checks.ProbeOutcome.FAILURE, f"no answer within {probe.timeout:g} s")

    async def _ask(self, instance: ProbedInstance, action: healths.ProbeAction) -> checks.CheckResult:
        if isinstance(action, healths.ExecProbe):
            return await checks.command(self._runtime, instance.container_id, action)
        if instance.address is None:
            return checks.CheckResult(checks.ProbeOutcome.FAILURE, "it has no address: it is in no network")
        if self._runtime.features.is_simulated:
            return checks.SUCCESS
        match action:
            case healths.HttpProbe():
                return await checks.request(instance.address, action)
            case healths.TcpProbe():
                return await checks.connection(instance.address, action)


_NO_PROBES = healths.HealthConfig(None, None, None)


def _judgement(state: thresholds.ProbeState) -> tuple[bool, ...]:
    """Return what conditions depend on: whether there is a failure message, but not its text, which varies."""
    return state.started, state.ready, state.alive, bool(state.message)


def _address(observed: container.ObservedContainer) -> str | None:
    """Return where a container answers: its first address, or the host's loopback where it shares the host's network.

    Never loopback for another one: something of the host's would answer for it.
    """
    if observed.addresses:
        return observed.addresses[0][1]
    return _LOOPBACK if observed.config.network_mode is container.NetworkMode.HOST else None


def _task(instance: ProbedInstance, kind: str) -> str:
    return f"{kind} probe {instance.number} of {instance.container_id}"
