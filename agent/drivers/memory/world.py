"""The runtime's whole world in RAM, and the ways to make it hard: latency, faults, and what happens behind our back."""

import asyncio
import dataclasses
import hashlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from agent.kit import clock
from agent.model import container, image, network, secret, volume
from agent.model.key import Kind
from agent.oci import auths, reference
from agent.runtime import api, errors, events

Program = Callable[[api.ExecRequest], tuple[int, bytes]]
"""What a command in a container does: exit code and output."""


@dataclasses.dataclass(slots=True)
class Fault:
    """An operation that fails a number of times."""

    error: errors.RuntimeFailure
    times: int


@dataclasses.dataclass(slots=True)
class World:
    """Everything there is. Names of operations are ``role.call``: ``containers.start``."""

    clock: clock.Clock
    containers: dict[str, container.ObservedContainer] = dataclasses.field(default_factory=dict)
    images: dict[str, image.ObservedImage] = dataclasses.field(default_factory=dict)
    networks: dict[str, network.ObservedNetwork] = dataclasses.field(default_factory=dict)
    volumes: dict[str, volume.ObservedVolume] = dataclasses.field(default_factory=dict)
    published: dict[str, str] = dataclasses.field(default_factory=dict)
    """What registries have where that matters, reference to digest; all else is there and never moves."""
    guarded: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Registries that let in only who shows this user and password."""
    logins: tuple[secret.Login, ...] = ()
    """What is shown to registries."""
    logs: dict[str, list[api.LogLine]] = dataclasses.field(default_factory=dict)
    calls: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Every call that changed or tried to change something: (operation, object)."""
    _faults: dict[str, list[Fault]] = dataclasses.field(default_factory=dict)
    _delays: dict[str, float] = dataclasses.field(default_factory=dict)
    _programs: dict[str, Program] = dataclasses.field(default_factory=dict)
    _queues: set[asyncio.Queue[events.RuntimeEvent | None]] = dataclasses.field(default_factory=set)
    _numbers: "itertools.count[int]" = dataclasses.field(default_factory=itertools.count)

    def digest(self, name: str) -> str:
        """Give what a reference stands for in its registry."""
        return self.published.get(name) or f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"

    def admit(self, name: str) -> None:
        """Let us at a reference's repository. Raises ``errors.InvalidArgument`` (``ImagePullDenied``)."""
        wanted = reference.parse(name)
        known = {one.place: (one.user, one.password) for one in self.logins}
        shown = next((known[one] for one in auths.places(wanted.registry, wanted.repository) if one in known), None)
        if shown != self.guarded.get(wanted.registry, shown):
            message = f"{wanted.registry} does not let us at {name}"
            raise errors.InvalidArgument(message, hint="declare a Secret with a login", reason="ImagePullDenied")

    def tags(self, name: str) -> tuple[str, ...]:
        """Give the tags of a reference's repository."""
        wanted = reference.parse(name)
        known = [reference.parse(one) for one in (*self.published, name)]
        same = [one for one in known if (one.registry, one.repository) == (wanted.registry, wanted.repository)]
        return tuple(sorted({one.tag for one in same if one.tag}))

    def fail(self, operation: str, error: errors.RuntimeFailure, times: int = 1) -> None:
        """Let the next calls of an operation fail."""
        self._faults.setdefault(operation, []).append(Fault(error, times))

    def delay(self, operation: str, seconds: float) -> None:
        """Let an operation take so long from now on."""
        self._delays[operation] = seconds

    def program(self, command: str, program: Program) -> None:
        """Say what a command does when it is run in a container; others print nothing and exit with 0."""
        self._programs[command] = program

    def end(self, ref: str, exit_code: int, *, oom_killed: bool = False, stop_requested: bool = False) -> None:
        """Let a container end, by itself unless it was asked to."""
        found = self.find(ref)
        ended = dataclasses.replace(
            found,
            state=container.ContainerState.EXITED,
            pid=None,
            addresses=(),
            exit_code=exit_code,
            oom_killed=oom_killed,
            stop_requested=stop_requested,
            finished_at=self.clock.now(),
        )
        self.containers[found.id] = ended
        action = events.EventAction.OOM_KILLED if oom_killed else events.EventAction.EXITED
        self.tell(Kind.CONTAINER, ended.id, ended.name, action, exit_code)

    def write(self, ref: str, text: str, stream: str = "stdout") -> None:
        """Let a container write a line."""
        line = api.LogLine(self.clock.now(), stream, text)
        self.logs.setdefault(self.find(ref).id, []).append(line)

    def find(self, ref: str) -> container.ObservedContainer:
        """Find a container by id or name. Raises ``errors.NotFound``."""
        if ref in self.containers:
            return self.containers[ref]
        for one in self.containers.values():
            if one.name == ref:
                return one
        raise errors.NotFound(f"there is no container {ref}", reason="ContainerNotFound")

    def attached(self, name: str) -> list[container.ObservedContainer]:
        """Give the running containers of a network."""
        return [
            one
            for one in self.containers.values()
            if one.state is container.ContainerState.RUNNING and name in dict(one.addresses)
        ]

    async def enter(self, operation: str, subject: str) -> None:
        """Pass a call on: delayed, and failing where it was told to."""
        self.calls.append((operation, subject))
        if operation in self._delays:
            await asyncio.sleep(self._delays[operation])
        faults = self._faults.get(operation, [])
        if faults:
            faults[0].times -= 1
            fault = faults.pop(0) if not faults[0].times else faults[0]
            raise fault.error

    def run(self, request: api.ExecRequest) -> tuple[int, bytes]:
        """Run a command."""
        program = self._programs.get(request.command[0])
        return program(request) if program is not None else (0, b"")

    def new_id(self) -> str:
        """Give an id that was never given before."""
        return hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:32]

    def tell(
        self, kind: Kind, identity: str, name: str, action: events.EventAction, exit_code: int | None = None
    ) -> None:
        """Tell every subscriber."""
        event = events.RuntimeEvent(kind, identity, name, action, self.clock.now(), exit_code)
        for queue in self._queues:
            queue.put_nowait(event)

    def subscribe(self) -> AsyncIterator[events.RuntimeEvent]:
        """Give events from now on."""
        queue: asyncio.Queue[events.RuntimeEvent | None] = asyncio.Queue()
        self._queues.add(queue)
        return self._drain(queue)

    def close(self) -> None:
        """End every subscription."""
        for queue in self._queues:
            queue.put_nowait(None)

    async def _drain(
        self, queue: asyncio.Queue[events.RuntimeEvent | None]
    ) -> AsyncGenerator[events.RuntimeEvent, None]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)
