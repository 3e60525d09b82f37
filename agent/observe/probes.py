"""Probes in their rhythm: one task a probe of a running container, and nothing where there is none."""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Self

import aiohttp

from agent.kit import clock, tasks
from agent.model import container
from agent.model import health as healths
from agent.observe import checks, thresholds
from agent.runtime import api

_LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """One check that was made."""

    container: str
    probe: thresholds.Kind
    success: bool
    message: str
    duration: float


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """One run of one container: a restart is another one."""

    name: str
    container_id: str
    started_at: float
    address: str
    config: healths.HealthConfig
    number: int = dataclasses.field(compare=False)
    """Tells its tasks from those of another one of the same run, which may still be ending."""


class Prober:
    """Probes what runs. ``on_change`` is called when somebody's health has become another."""

    def __init__(
        self,
        runtime: api.Runtime,
        time: clock.Clock,
        on_change: Callable[[], None],
        on_result: Callable[[ProbeResult], None],
    ) -> None:
        """Nothing is probed yet."""
        self._runtime = runtime
        self._clock = time
        self._on_change = on_change
        self._on_result = on_result
        self._crew = tasks.Crew(self._broken)
        self._runs: dict[str, tuple[Subject, thresholds.Run]] = {}
        self._numbers = itertools.count()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self._crew.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._crew.__aexit__(*error)
        if self._session is not None:
            await self._session.close()

    def track(
        self, desired: Iterable[container.ContainerConfig], observed: Iterable[container.ObservedContainer]
    ) -> None:
        """Begin with what runs and is not probed yet, end with what does not run any more."""
        configs = {config.name: config.health for config in desired}
        subjects = {
            one.id: Subject(
                one.name, one.id, one.started_at or 0.0, _address(one), configs[one.name], next(self._numbers)
            )
            for one in observed
            if one.state is container.ContainerState.RUNNING and one.name in configs
        }
        for container_id, (subject, _) in list(self._runs.items()):
            if subjects.get(container_id) != subject:
                self._end(subject)
        for container_id, subject in subjects.items():
            if container_id not in self._runs and subject.config != _NO_PROBES:
                self._runs[container_id] = (subject, thresholds.begin(subject.config))
                self._start(subject)

    def health(self) -> tuple[healths.ObservedHealth, ...]:
        """Give what is known, sorted."""
        return tuple(sorted(thresholds.observed(key, run) for key, (_, run) in self._runs.items()))

    def _start(self, subject: Subject) -> None:
        _, run = self._runs[subject.container_id]
        for kind in run.active():
            name = _task(subject, kind)
            if name not in self._crew:
                self._crew.start(self._watch(subject, kind), name=name)

    def _end(self, subject: Subject) -> None:
        self._runs.pop(subject.container_id, None)
        for kind in ("startup", "readiness", "liveness"):
            self._crew.cancel(_task(subject, kind))

    async def _watch(self, subject: Subject, kind: thresholds.Kind) -> None:
        """Check again and again, until the run is over or this probe has done its work."""
        probe = thresholds.probe_of(subject.config, kind)
        if probe is None:
            return
        age = max(0.0, self._clock.now() - subject.started_at)  # an agent that comes later need not wait again
        await asyncio.sleep(max(0.0, probe.initial_delay - age))
        while self._is_tracked(subject):
            begun = self._clock.monotonic()
            message = await self._check(subject, probe)
            if not self._is_tracked(subject):
                return
            took = self._clock.monotonic() - begun
            self._on_result(ProbeResult(subject.name, kind, not message, message, took))
            self._take(subject, kind, message)
            if kind not in self._runs[subject.container_id][1].active():
                return
            await asyncio.sleep(max(probe.period - took, 0.0))

    def _is_tracked(self, subject: Subject) -> bool:
        return self._runs.get(subject.container_id, (None, None))[0] is subject

    def _take(self, subject: Subject, kind: thresholds.Kind, message: str) -> None:
        _, before = self._runs[subject.container_id]
        after = before.after(kind, success=not message, message=message, now=self._clock.now())
        self._runs[subject.container_id] = (subject, after)
        if _told(before) != _told(after):
            self._start(subject)
            self._on_change()

    async def _check(self, subject: Subject, probe: healths.Probe) -> str:
        try:
            async with asyncio.timeout(probe.timeout):
                return await self._ask(subject, probe.action)
        except TimeoutError:
            return f"no answer within {probe.timeout:g} s"

    async def _ask(self, subject: Subject, action: healths.ProbeAction) -> str:
        match action:
            case healths.ExecProbe():
                return await checks.command(self._runtime, subject.container_id, action)
            case healths.HttpProbe():
                return await checks.request(self._http(), subject.address, action)
            case healths.TcpProbe():
                return await checks.connection(subject.address, action)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:  # no connection is kept: a probe asks whether new ones are accepted
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    def _broken(self, name: str, failure: BaseException) -> None:
        """Let a probe that fails by our own fault fail its container no further than by saying so."""
        asyncio.get_running_loop().call_exception_handler({"message": f"{name} broke", "exception": failure})


_NO_PROBES = healths.HealthConfig(None, None, None)


def _told(run: thresholds.Run) -> tuple[bool, ...]:
    """Give what an object's conditions depend on: that it fails is told at once, how each time is not."""
    return run.started, run.ready, run.alive, bool(run.message)


def _address(one: container.ObservedContainer) -> str:
    """Give where a container answers: its first address, or the host's loopback where it shares the host's network."""
    return one.addresses[0][1] if one.addresses else _LOOPBACK


def _task(subject: Subject, kind: str) -> str:
    return f"{kind} probe {subject.number} of {subject.container_id}"
