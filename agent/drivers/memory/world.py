"""The runtime's whole state in RAM, with injectable latency, faults and outside changes."""

import asyncio
import dataclasses
import hashlib
import itertools
from collections.abc import AsyncGenerator, Callable

from agent import errors
from agent.drivers.memory import table
from agent.kit import broadcast, clock
from agent.model import container, image, network, secret, volume
from agent.model.key import Kind, Pairs
from agent.oci import auths, reference
from agent.reasons import Reason
from agent.runtime import events, streams
from agent.runtime import secrets as secret_store

_KILLED = 137
Program = Callable[[streams.ExecRequest], tuple[int, bytes]]
"""A command's behaviour in a container: from the request to exit code and output."""


@dataclasses.dataclass(slots=True)
class Fault:
    """An operation's error for its next ``times`` calls."""

    error: errors.Failure
    times: int


@dataclasses.dataclass(slots=True)
class World:
    """Every object of the runtime. Names of operations are ``role.call``: ``containers.start``."""

    clock: clock.Clock
    containers: table.Containers = dataclasses.field(default_factory=table.Containers)
    images: dict[str, image.ObservedImage] = dataclasses.field(default_factory=dict)
    networks: dict[str, network.ObservedNetwork] = dataclasses.field(default_factory=dict)
    volumes: dict[str, volume.ObservedVolume] = dataclasses.field(default_factory=dict)
    published: dict[str, str] = dataclasses.field(default_factory=dict)
    """Reference to digest of what registries have; every other reference exists with a fixed digest."""
    guarded: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Registries that require a login: registry to (user, password)."""
    logins: tuple[secret.Login, ...] = ()
    """The logins that are sent to registries."""
    secrets: secret_store.SecretStore = dataclasses.field(default_factory=secret_store.SecretStore)
    """The values that references to Secrets stand for."""
    environments: dict[str, Pairs] = dataclasses.field(default_factory=dict, repr=False)
    """By container, the variables whose values it got from Secrets at its last start."""
    logs: dict[str, list[streams.LogLine]] = dataclasses.field(default_factory=dict)
    calls: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Every call that changed or tried to change something: (operation, object)."""
    _faults: dict[str, list[Fault]] = dataclasses.field(default_factory=dict)
    _delays: dict[str, float] = dataclasses.field(default_factory=dict)
    _programs: dict[str, Program] = dataclasses.field(default_factory=dict)
    _events: broadcast.Broadcast[events.RuntimeEvent] = dataclasses.field(default_factory=broadcast.Broadcast)
    _numbers: "itertools.count[int]" = dataclasses.field(default_factory=itertools.count)

    def digest(self, name: str) -> str:
        """Return a reference's digest in its registry."""
        return self.published.get(name) or f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"

    def admit(self, name: str) -> None:
        """Check the login for a reference's repository. Raises ``errors.InvalidArgument`` (``ImagePullDenied``)."""
        parsed = reference.parse(name)
        credentials = {login.place: (login.user, login.password) for login in self.logins}
        shown = next(
            (
                credentials[prefix]
                for prefix in auths.lookup_paths(parsed.registry, parsed.repository)
                if prefix in credentials
            ),
            None,
        )
        if shown != self.guarded.get(parsed.registry, shown):
            message = f"{parsed.registry} does not let us at {name}"
            raise errors.InvalidArgument(message, hint="declare a Secret with a login", reason=Reason.IMAGE_PULL_DENIED)

    def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of a reference's repository."""
        parsed = reference.parse(name)
        references = [reference.parse(text) for text in (*self.published, name)]
        same = [
            candidate
            for candidate in references
            if (candidate.registry, candidate.repository) == (parsed.registry, parsed.repository)
        ]
        return tuple(sorted({candidate.tag for candidate in same if candidate.tag}))

    def fail(self, operation: str, error: errors.Failure, times: int = 1) -> None:
        """Let the next calls of an operation fail."""
        self._faults.setdefault(operation, []).append(Fault(error, times))

    def delay(self, operation: str, seconds: float) -> None:
        """Delay every later call of an operation by ``seconds``."""
        self._delays[operation] = seconds

    def program(self, command: str, program: Program) -> None:
        """Set the behaviour of a command in containers; others print nothing and exit with 0."""
        self._programs[command] = program

    def end(self, ref: str, exit_code: int, *, oom_killed: bool = False, stop_requested: bool = False) -> None:
        """End a container, by itself unless ``stop_requested``; ``oom_killed`` counts with exit code 137 only."""
        current = self.find(ref)
        oom_killed = oom_killed and exit_code == _KILLED and not stop_requested
        ended = dataclasses.replace(
            current,
            state=container.ContainerState.EXITED,
            pid=None,
            addresses=(),
            exit_code=exit_code,
            oom_killed=oom_killed,
            stop_requested=stop_requested,
            finished_at=self.clock.now(),
        )
        self.containers[current.id] = ended
        action = events.EventAction.OOM_KILLED if oom_killed else events.EventAction.EXITED
        self.emit(Kind.CONTAINER, ended.id, ended.name, action, exit_code)

    def write(self, ref: str, text: str, stream: str = "stdout") -> None:
        """Append a line to a container's log."""
        line = streams.LogLine(self.clock.now(), stream, text.encode())
        self.logs.setdefault(self.find(ref).id, []).append(line)

    def find(self, ref: str) -> container.ObservedContainer:
        """Return a container by id or name. Raises ``errors.NotFound``."""
        if ref in self.containers:
            return self.containers[ref]
        named = self.containers.named(ref)
        if named is not None:
            return named
        raise errors.NotFound(f"there is no container {ref}", reason=Reason.CONTAINER_NOT_FOUND)

    async def enter(self, operation: str, subject: str) -> None:
        """Record a call, with its injected delay and fault. Raises the fault's error."""
        self.calls.append((operation, subject))
        if operation in self._delays:
            await asyncio.sleep(self._delays[operation])
        faults = self._faults.get(operation, [])
        if faults:
            faults[0].times -= 1
            fault = faults.pop(0) if not faults[0].times else faults[0]
            raise fault.error

    def run(self, request: streams.ExecRequest) -> tuple[int, bytes]:
        """Run a command."""
        program = self._programs.get(request.command[0])
        return program(request) if program is not None else (0, b"")

    def new_id(self) -> str:
        """Return an unused id."""
        return hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:32]

    def emit(
        self, kind: Kind, identity: str, name: str, action: events.EventAction, exit_code: int | None = None
    ) -> None:
        """Send an event to every subscriber."""
        event = events.RuntimeEvent(kind, identity, name, action, self.clock.now(), exit_code)
        self._events.send(event)

    def subscribe(self) -> AsyncGenerator[events.RuntimeEvent, None]:
        """Return the events from now on."""
        return self._events.subscribe()

    def close(self) -> None:
        """End every subscription."""
        self._events.close()
