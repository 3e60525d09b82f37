"""What an engine cannot keep of an object, kept beside it in one small file. It is memory, never intent.

Losing it is safe by construction: an image without a note is somebody else's and is never removed; a volume without one
has the deletion policy Retain; a container that was adopted without labels is foreign again, and is left alone.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

from agent.kit import atomicfile, canonical
from agent.model import container
from agent.model.key import Kind, Pairs
from agent.runtime import errors


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerNote:
    """Of a container, by its id."""

    stop_requested_at: float = 0.0
    """When somebody asked for its end last, by the engine's clock: a run that has begun later was not meant."""
    aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(network, aliases) as given by ``connect``: engines mix them with names of their own."""
    addresses: Pairs = ()
    """(network, fixed address) as given by ``connect``, empty for none: Podman does not tell them."""
    adopted: container.ContainerConfig | None = None
    """What it is declared as, where it was made by somebody else; its variables' values are the engine's to tell."""
    labels: Pairs = ()
    """Whose it is, where it was adopted: engines cannot label what exists."""


@dataclasses.dataclass(frozen=True, slots=True)
class Notes:
    """All that is noted."""

    containers: tuple[tuple[str, ContainerNote], ...] = ()
    images: tuple[tuple[str, Pairs], ...] = ()
    """(reference, labels)."""
    volumes: tuple[tuple[str, Pairs], ...] = ()
    """(the engine's name, labels)."""
    networks: tuple[tuple[str, Pairs], ...] = ()
    """(what it is noted by, labels) of those that were given others after they were made."""
    superseded: tuple[str, ...] = ()
    """Ids of images that were ours until another one took their name; they go once nothing is made of them."""
    names: tuple[tuple[Kind, str, str], ...] = ()
    """(kind, declared name, the engine's name) of what was adopted, and is called otherwise or is the engine's own."""


class Book:
    """The notes in RAM, written through to their file. Noting raises ``errors.Unavailable`` where that fails."""

    def __init__(self, path: pathlib.Path, *, read_only: bool = False) -> None:
        """Read what is there; a file that cannot be understood is as good as none."""
        self._path = path
        self._read_only = read_only
        try:
            found = canonical.restore(Notes, json.loads(path.read_bytes()))
        except (OSError, ValueError, RecursionError):
            found = Notes()
        self._containers = dict(found.containers)
        self._images = dict(found.images)
        self._volumes = dict(found.volumes)
        self._networks = dict(found.networks)
        self._superseded = dict.fromkeys(found.superseded)
        self._names = {(kind, declared): engine for kind, declared, engine in found.names}

    def container(self, container_id: str) -> ContainerNote:
        """Give what is noted of a container."""
        return self._containers.get(container_id, _NOTHING)

    def note_container(self, container_id: str, note: ContainerNote) -> None:
        """Note something of a container."""
        if self.container(container_id) != note:
            self._containers[container_id] = note
            self._write()

    def note_stop(self, container_id: str, time: float) -> None:
        """Note that somebody asked for a container's end."""
        self.note_container(container_id, dataclasses.replace(self.container(container_id), stop_requested_at=time))

    def images(self) -> Mapping[str, Pairs]:
        """Give the labels of images by reference."""
        return self._images

    def note_image(self, reference: str, labels: Pairs) -> None:
        """Note whose an image is."""
        if self._images.get(reference) != labels:
            self._images[reference] = labels
            self._write()

    def superseded(self) -> tuple[str, ...]:
        """Give the ids of images that have lost their name to another one."""
        return tuple(self._superseded)

    def note_superseded(self, image_id: str) -> None:
        """Note that another image has taken the name of one of ours."""
        if image_id not in self._superseded:
            self._superseded[image_id] = None
            self._write()

    def forget_superseded(self, image_id: str) -> None:
        """Drop it: it is gone, or has a name again."""
        if image_id in self._superseded:
            del self._superseded[image_id]
            self._write()

    def volume(self, name: str) -> Pairs | None:
        """Give the labels of a volume; ``None`` where nothing is noted."""
        return self._volumes.get(name)

    def note_volume(self, name: str, labels: Pairs) -> None:
        """Note a volume's labels."""
        if self._volumes.get(name) != labels:
            self._volumes[name] = labels
            self._write()

    def network(self, noted_by: str) -> Pairs:
        """Give the labels of a network; empty where nothing is noted."""
        return self._networks.get(noted_by, ())

    def note_network(self, noted_by: str, labels: Pairs) -> None:
        """Note a network's labels."""
        if self._networks.get(noted_by) != labels:
            self._networks[noted_by] = labels
            self._write()

    def engine_name(self, kind: Kind, declared: str) -> str:
        """Give the engine's name of an object."""
        return self._names.get((kind, declared), declared)

    def declared_name(self, kind: Kind, engine: str) -> str:
        """Give the declared name of an object of the engine."""
        return next((name for (of, name), known in self._names.items() if of == kind and known == engine), engine)

    def declared_names(self, kind: Kind) -> frozenset[str]:
        """Give the declared names that stand for others in the engine."""
        return frozenset(declared for of, declared in self._names if of == kind)

    def note_name(self, kind: Kind, declared: str, engine: str) -> None:
        """Note that an object has another name in the engine than in its manifest."""
        if self._names.get((kind, declared)) != engine:
            self._names[kind, declared] = engine
            self._write()

    def is_noted_name(self, kind: Kind, engine: str) -> bool:
        """Tell whether an engine's name stands for a declared one, even if it is the same."""
        return any(of == kind and known == engine for (of, _), known in self._names.items())

    def forget(self, kind: Kind, identity: str) -> None:
        """Drop what is noted of an object that is gone; ``identity`` is what it is noted by, or the engine's name."""
        match kind:
            case Kind.CONTAINER:
                known = self._containers.pop(identity, None) is not None
            case Kind.IMAGE:
                known = self._images.pop(identity, None) is not None
            case Kind.VOLUME:
                known = self._volumes.pop(identity, None) is not None
            case Kind.NETWORK:
                known = self._networks.pop(identity, None) is not None
        named = [key for key, engine in self._names.items() if key[0] == kind and engine == identity]
        for key in named:
            del self._names[key]
        if known or named:
            self._write()

    def _write(self) -> None:
        if self._read_only:
            return
        notes = Notes(
            containers=tuple(sorted(self._containers.items(), key=lambda item: item[0])),
            images=tuple(sorted(self._images.items())),
            volumes=tuple(sorted(self._volumes.items())),
            networks=tuple(sorted(self._networks.items())),
            superseded=tuple(self._superseded),
            names=tuple(sorted((kind, declared, engine) for (kind, declared), engine in self._names.items())),
        )
        try:
            atomicfile.write(self._path, canonical.dumps(notes))
        except OSError as error:
            raise errors.Unavailable(
                f"{self._path} cannot be written: {error.strerror}", reason="HostFailure"
            ) from error


_NOTHING = ContainerNote()
