"""External inputs: files that manifests name, and their fingerprints, which stand for them where states are compared.

A manifest declares its inputs, ``sources`` reads them, and lowering takes the one mapping from inputs to what they are:
so a plan is made of values alone, and a changed file is another desired state.
"""

import dataclasses
import enum
import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.kit import frozen

MISSING = ""
"""The fingerprint of an input that does not exist, or cannot be used."""


class InputKind(enum.StrEnum):
    """What an external input is read as."""

    ARCHIVE = "archive"
    """An image archive or layout: only its metadata is read, as it may have gigabytes."""
    ENV_FILE = "env file"
    """A file of environment variables: its content is read."""
    BUILD = "build"
    """The context of a build, with its Dockerfile: names, sizes, times and links below the directory are read."""


@frozen.value(order=True)
class SourceFolder:
    """The folder that a source's own files lie below."""

    path: str
    """Absolute."""
    object_id: Callable[[str], str] | None = dataclasses.field(default=None, compare=False, repr=False)
    """Returns git's object id of a committed file by its absolute path, empty where the commit has no such file;
    ``None`` where files are no commit's. A checkout's files count only as committed: containers may write to them."""


@frozen.value(order=True)
class ExternalInput:
    """A file or directory that a manifest names."""

    kind: InputKind
    path: str
    """Absolute."""
    within: SourceFolder | None = None
    """What the path leads to has to lie in there, symlinks followed; ``None``: anywhere. Of a build, only what its
    context counts together with: the files of a commit."""
    dockerfile: str = ""
    """The Dockerfile of a build: absolute, and need not exist. Its name tells what is left out of the context."""


@frozen.value
class Reading:
    """What was read of an input that exists."""

    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since the epoch."""
    inode: int
    content: bytes = dataclasses.field(default=b"", repr=False)
    """Empty for kinds of which only the metadata is read; of a build's context, that of all its entries."""


@frozen.value
class InputState:
    """What an input is, as far as lowering needs to know."""

    fingerprint: str
    """Equal for equal inputs of a kind, and another for any other; ``MISSING`` where there is a problem."""
    content: bytes = dataclasses.field(default=b"", repr=False)
    problem: str = ""
    """Why it cannot be used: the end of a sentence that begins with its path."""
    hint: str = ""
    """The way out of the problem."""


Inputs = Mapping[ExternalInput, InputState]
"""What every declared input is now."""


class Fingerprint(Protocol):
    """Names what was read of an input: pure, and never empty."""

    def __call__(self, reading: Reading) -> str:
        """Return the fingerprint."""


def of_metadata(reading: Reading) -> str:
    """Return ``size-modified-inode``: differs for a rewritten file, without reading it."""
    return f"{reading.size}-{reading.modified}-{reading.inode}"


def of_content(reading: Reading) -> str:
    """Return the SHA-256 of the content: a file that was rewritten as it was is the same input."""
    return f"sha256:{hashlib.sha256(reading.content).hexdigest()}"


FINGERPRINTS: Mapping[InputKind, Fingerprint] = {
    InputKind.ARCHIVE: of_metadata,
    InputKind.ENV_FILE: of_content,
    InputKind.BUILD: of_content,
}
_KEPT = frozenset({InputKind.ENV_FILE})
"""Kinds whose content lowering needs."""


def state_of(external_input: ExternalInput, reading: Reading) -> InputState:
    """Return the state of an input that was read."""
    content = reading.content if external_input.kind in _KEPT else b""
    return InputState(FINGERPRINTS[external_input.kind](reading), content)
