"""The state file beside an engine: what an engine cannot keep of its objects. It is memory, never intent.

Losing it is safe: an image without a note is foreign and never removed; a volume without one has the deletion policy
Retain; a container that was adopted without labels is foreign again, and is left as it is.

A note counts at once, and is on disk once ``kept`` returns: whoever does something that rests on it waits for that.
What others do to containers is noted without waiting, and ``run`` writes it a moment later.
"""

import asyncio
import contextlib
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Mapping

from agent import errors
from agent.kit import atomicfile, canonical, damage, frozen, notices, reserve, state_format, tasks
from agent.model import container
from agent.model.key import DELETION_POLICY_LABEL, Kind, Pairs
from agent.oci import reference
from agent.reasons import Reason

_GATHERING = 0.1
"""Seconds in which notes that nobody waits for are gathered: a thousand stops of others are some writes only. An agent
that is killed within them has not noticed the stop, as if it had been killed before it."""


@frozen.value
class ContainerNote:
    """The note of a container, by its id."""

    stop_requested_at: float = 0.0
    """Time of the last stop request, by the engine's clock: it does not count for a run that began later."""
    aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(network, aliases) of the last ``connect``: engines mix them with names of their own."""
    addresses: Pairs = ()
    """(network, fixed address) of the last ``connect``, empty for none: Podman does not return them."""
    adopted: container.ContainerConfig | None = None
    """The config of an adopted container, without the values of its environment, which the engine has."""
    labels: Pairs = ()
    """The ownership labels of an adopted container: engines cannot label existing ones."""
    pids: int | None = None
    """The limit of processes requested last by a change in place; 0 for none."""
    supervision: container.Supervision | None = None
    """The supervision declared last, if it differs from that of its creation: labels never change."""


@frozen.value
class Notes:
    """The contents of the file. A field is part of the first format, or its default is the meaning of its absence."""

    version: int = dataclasses.field(default=state_format.FORMAT, metadata=canonical.absent(1))
    """The format; a file without one is of format 1."""
    containers: tuple[tuple[str, ContainerNote], ...] = ()
    images: tuple[tuple[str, Pairs], ...] = ()
    """(reference, labels)."""
    volumes: tuple[tuple[str, Pairs], ...] = ()
    """(the engine's name, labels)."""
    networks: tuple[tuple[str, Pairs], ...] = ()
    """(key of its note, labels) of networks whose labels have changed since their creation."""
    superseded: tuple[str, ...] = ()
    """Ids of images of ours whose name another one has taken; they are removed once no container uses them."""
    names: tuple[tuple[Kind, str, str], ...] = ()
    """(kind, declared name, the engine's name) of adopted objects with another name, or built into the engine."""


class StateFile:
    """The notes in RAM, and their file, which is written in a thread: the disk never holds up the event loop."""

    def __init__(self, path: pathlib.Path, *, read_only: bool = False) -> None:
        """Read the file; if it is damaged, the copy from before the last change counts.

        Raises ``kit.state_format.NewerState`` for what a newer release has written.
        """
        self._path = path
        self._before = path.with_name(f"{path.name}.before")
        self._read_only = read_only
        self.mended = ""
        """What was damaged and what was done about it; empty if nothing was."""
        notes = self._read()
        self._containers = dict(notes.containers)
        self._images = {reference.canonical(name): _renamed(name, labels) for name, labels in notes.images}
        self._volumes = dict(notes.volumes)
        self._networks = dict(notes.networks)
        self._superseded = dict.fromkeys(notes.superseded)
        self._names = {(kind, declared): engine for kind, declared, engine in notes.names}
        self._changes = self._changes_kept = 0
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

    async def kept(self) -> None:
        """Return once everything noted so far is on disk. Raises ``errors.Unavailable`` if writing fails.

        All who wait while a write is under way share the next one.
        """
        changes = self._changes
        while self._changes_kept < changes and not self._read_only:
            async with self._writing:
                if self._changes_kept < changes:
                    included = self._changes
                    await tasks.in_thread(functools.partial(self._write, self._notes()))
                    self._changes_kept = included

    async def run(self, register: notices.Register) -> None:
        """Write what nobody waits for, until cancelled and once more then; a failure is a notice until it is over."""
        subject = f"notes in {self._path.name}"
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(_GATHERING)
                self._changed.clear()
                try:
                    await self.kept()
                except errors.Unavailable as error:
                    register.failed(subject, error, self.kept)
                else:
                    register.settled(subject)
        finally:
            with contextlib.suppress(errors.Unavailable):
                await self.kept()

    def container(self, container_id: str) -> ContainerNote:
        """Return a container's note."""
        return self._containers.get(container_id, _NOTHING)

    def note_container(self, container_id: str, note: ContainerNote) -> None:
        """Replace a container's note."""
        if self.container(container_id) != note:
            self._containers[container_id] = note
            self._note()

    def note_stop(self, container_id: str, time: float) -> None:
        """Note the time of a stop request."""
        self.note_container(container_id, dataclasses.replace(self.container(container_id), stop_requested_at=time))

    def images(self) -> Mapping[str, Pairs]:
        """Return the labels of images, by reference."""
        return self._images

    def note_image(self, reference: str, labels: Pairs) -> None:
        """Note an image's labels, its owner among them."""
        if self._images.get(reference) != labels:
            self._images[reference] = labels
            self._note()

    def superseded(self) -> tuple[str, ...]:
        """Return the ids of images whose name another image has taken."""
        return tuple(self._superseded)

    def note_superseded(self, image_id: str) -> None:
        """Note that another image has taken the name of this one, which is ours."""
        if image_id not in self._superseded:
            self._superseded[image_id] = None
            self._note()

    def forget_superseded(self, image_id: str) -> None:
        """Drop a superseded image: it was removed, or has a name again."""
        if image_id in self._superseded:
            del self._superseded[image_id]
            self._note()

    def volume(self, name: str) -> Pairs | None:
        """Return the labels of a volume; ``None`` without a note."""
        return self._volumes.get(name)

    def note_volume(self, name: str, labels: Pairs) -> None:
        """Note a volume's labels."""
        if self._volumes.get(name) != labels:
            self._volumes[name] = labels
            self._note()

    def network(self, noted_by: str) -> Pairs:
        """Return the labels of a network; empty without a note."""
        return self._networks.get(noted_by, ())

    def note_network(self, noted_by: str, labels: Pairs) -> None:
        """Note a network's labels."""
        if self._networks.get(noted_by) != labels:
            self._networks[noted_by] = labels
            self._note()

    def engine_name(self, kind: Kind, declared: str) -> str:
        """Return the engine's name of an object."""
        return self._names.get((kind, declared), declared)

    def declared_name(self, kind: Kind, engine: str) -> str:
        """Return the declared name of an object of the engine."""
        return next(
            (name for (of, name), engine_name in self._names.items() if of == kind and engine_name == engine), engine
        )

    def declared_names(self, kind: Kind) -> frozenset[str]:
        """Return the declared names that differ from the engine's."""
        return frozenset(declared for of, declared in self._names if of == kind)

    def note_name(self, kind: Kind, declared: str, engine: str) -> None:
        """Note that an object has another name in the engine than in its manifest."""
        if self._names.get((kind, declared)) != engine:
            self._names[kind, declared] = engine
            self._note()

    def is_noted_name(self, kind: Kind, engine: str) -> bool:
        """Return whether a declared name is noted for an engine's name, even the same one."""
        return any(of == kind and engine_name == engine for (of, _), engine_name in self._names.items())

    def forget(self, kind: Kind, identity: str) -> None:
        """Drop the note of a removed object; ``identity`` is the key of its note, or the engine's name."""
        match kind:
            case Kind.CONTAINER:
                removed = self._containers.pop(identity, None) is not None
            case Kind.IMAGE:
                removed = self._images.pop(identity, None) is not None
            case Kind.VOLUME:
                removed = self._volumes.pop(identity, None) is not None
            case Kind.NETWORK:
                removed = self._networks.pop(identity, None) is not None
            case Kind.SECRET:
                removed = False  # nothing of the engine's is made of one
        named = [key for key, engine in self._names.items() if key[0] == kind and engine == identity]
        for key in named:
            del self._names[key]
        if removed or named:
            self._note()

    def _read(self) -> Notes:
        copies = (
            (self._path, "what stood before the last note, if anything did, is taken for it"),
            (self._before, "so was the copy of before, and nothing is noted any more"),
        )
        for path, consequence in copies:
            try:
                notes = _restored(path)
                return notes if path == self._path else _retaining(notes)
            except OSError:
                continue
            except canonical.Unreadable as error:
                self.mended = f"it was damaged ({error}); {consequence}{self._put_aside(path)}"
        return Notes()

    def _put_aside(self, path: pathlib.Path) -> str:
        if self._read_only:
            return ""
        try:
            return f"; it is kept as {damage.put_aside(path, time.time()).name}"
        except OSError as error:
            return f"; it cannot be kept: {error.strerror}"

    def _keep_before(self) -> None:
        """Keep the present file as a second copy, in case the first one is damaged."""
        copy = self._before.with_name(f"{self._before.name}.new")
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)
            copy.hardlink_to(self._path)
            copy.rename(self._before)

    def _note(self) -> None:
        """Let what has changed be written."""
        self._changes += 1
        self._changed.set()

    def _notes(self) -> Notes:
        return Notes(
            containers=tuple(sorted(self._containers.items(), key=lambda item: item[0])),
            images=tuple(sorted(self._images.items())),
            volumes=tuple(sorted(self._volumes.items())),
            networks=tuple(sorted(self._networks.items())),
            superseded=tuple(self._superseded),
            names=tuple(sorted((kind, declared, engine) for (kind, declared), engine in self._names.items())),
        )

    def _write(self, notes: Notes) -> None:
        """Write the file. Blocks: for threads. Raises ``errors.Unavailable``."""
        self._keep_before()
        data, reserved = canonical.dumps(notes), reserve.Reserve(self._path.with_name("reserve"))
        try:
            try:
                atomicfile.write(self._path, data)
            except OSError:
                if not reserved.spend():
                    raise
                atomicfile.write(self._path, data)
        except OSError as error:
            raise errors.Unavailable(
                f"{self._path} cannot be written: {error.strerror}", reason=Reason.HOST_FAILURE
            ) from error


def _restored(path: pathlib.Path) -> Notes:
    """Read notes. Raises ``OSError``, ``kit.canonical.Unreadable``, ``kit.state_format.NewerState``."""
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise canonical.Unreadable(f"no JSON: {error}") from error
    if isinstance(fields, dict):
        state_format.check(path, fields.get("version"))
    try:
        return canonical.restore(Notes, fields)
    except canonical.Unknown as error:
        if state_format.is_newer(path):
            raise state_format.newer(path, str(error)) from error
        raise


def _retaining(notes: Notes) -> Notes:
    """Return older notes without deletion policies: one that has been changed since then would cost data."""
    volumes = tuple(
        (name, tuple(pair for pair in labels if pair[0] != DELETION_POLICY_LABEL)) for name, labels in notes.volumes
    )
    return dataclasses.replace(notes, volumes=volumes)


_NOTHING = ContainerNote()


def _renamed(name: str, labels: Pairs) -> Pairs:
    """Return an image's labels, in which its own name may stand, in the spelling that references have now."""
    spelt = reference.canonical(name)
    return tuple((key, spelt if value == name else value) for key, value in labels)
