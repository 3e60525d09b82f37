"""Reading external inputs: one state each, which does not follow an input while it is being written.

An archive is known by its metadata, a build by that of its context, an env file by its content. Each kind has a
reader, and rests for a while before a change of it counts. Nothing but a regular file is opened, and no more is read
than the limits allow.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping

from agent.kit import files, frozen
from agent.kit.writers import Writer, Writers
from agent.manifests import env_file
from agent.model import external_input
from agent.model.external_input import MISSING, ExternalInput, InputKind, Inputs, InputState
from agent.sources import build_contexts

LARGEST_TOTAL = 16 * 1024 * 1024
"""Bytes of all inputs of a source whose content is read; an archive's is not."""
FIRST_READING = 2.0
"""Seconds that all inputs together which nobody has read before, and which are being written, are waited for."""
NEVER_RESTS = 5.0
"""Seconds after which a context counts as it is, although it goes on changing."""
_POLL = 0.02
"""Seconds between two readings of an input that is being written."""
_SHA1_DIGITS = 40
_UNUSABLE = {
    errno.ENOENT: ("does not exist", "create it, or take it out of the manifest"),
    errno.ENOTDIR: ("does not exist: a part of its path is no directory", "correct the path"),
    errno.EACCES: ("cannot be read: permission denied", "let the agent's user read it"),
    errno.EPERM: ("cannot be read: permission denied", "let the agent's user read it"),
    errno.ELOOP: ("is a symlink that leads round in a circle", "mend the symlink"),
}


@frozen.value
class RestPeriods:
    """How long a changed input of a kind has to be the same before that counts, in seconds."""

    closed: float
    """Where nobody has it open for writing."""
    unknown: float
    """Where nobody can say whether somebody has (network file systems), and where it cannot be used any more."""
    unfinished: float
    """Where somebody has it open for writing."""


REST_PERIODS: Mapping[InputKind, RestPeriods] = {
    InputKind.ARCHIVE: RestPeriods(closed=1.0, unknown=1.0, unfinished=300.0),  # large ones take long
    InputKind.ENV_FILE: RestPeriods(closed=0.03, unknown=1.0, unfinished=60.0),
    InputKind.BUILD: RestPeriods(closed=0.1, unknown=1.0, unfinished=60.0),  # a build of half a change is cut short
}


@frozen.value
class InputReading:
    """One reading of an input."""

    state: InputState
    writer: Writer = Writer.NONE
    age: float = 0.0
    """Seconds since it was last changed, where that counts as rest."""


@frozen.value
class _Candidate:
    """A state that is not accepted yet."""

    state: InputState
    since: float
    began: float
    """When the input was first seen to change."""


class InputTracker:
    """The accepted states. The decision is pure: readings and times come in as values."""

    def __init__(self) -> None:
        """Start without inputs."""
        self._accepted: dict[ExternalInput, InputState] = {}
        self._candidates: dict[ExternalInput, _Candidate] = {}
        self._next_reading_in: float | None = None

    @property
    def next_reading_in(self) -> float | None:
        """Return the seconds from the last reading after which a changed input may be accepted; ``None``: none is."""
        return self._next_reading_in

    def read(self, inputs: Iterable[ExternalInput]) -> Inputs:
        """Read inputs, and return their accepted states. It blocks; for one thread at a time."""
        declared = list(inputs)
        readings = _read(declared)
        deadline = time.monotonic() + FIRST_READING
        while self._has_unread_writer(readings) and time.monotonic() < deadline:
            time.sleep(_POLL)
            readings = _read(declared)
        return self.take(readings, time.monotonic())

    def take(self, readings: Mapping[ExternalInput, InputReading], now: float) -> Inputs:
        """Take in a reading of each input, and return the accepted states. ``now`` never goes back."""
        self._accepted = {external: state for external, state in self._accepted.items() if external in readings}
        self._candidates = {external: entry for external, entry in self._candidates.items() if external in readings}
        waits = [self._consider(external, reading, now) for external, reading in readings.items()]
        self._next_reading_in = min((wait for wait in waits if wait is not None), default=None)
        return {external: self._accepted[external] for external in readings}

    def _consider(self, external: ExternalInput, reading: InputReading, now: float) -> float | None:
        """Accept a reading if it may be; otherwise return the seconds until it may."""
        candidate = self._candidates.get(external)
        if candidate is None or candidate.state != reading.state:
            candidate = _Candidate(reading.state, now, now if candidate is None else candidate.began)
        rested = now - candidate.since
        if reading.writer is Writer.NONE:
            rested = max(rested, reading.age)
        wait = _needed(external, reading, self._accepted.get(external)) - rested
        if external.kind is InputKind.BUILD and now - candidate.began >= NEVER_RESTS:
            wait = 0.0
        if self._accepted.get(external, reading.state) == reading.state or wait <= 0:
            self._accepted[external] = reading.state
            self._candidates.pop(external, None)
            return None
        self._candidates[external] = candidate
        return min(wait, REST_PERIODS[external.kind].unknown)  # its writer may close it long before

    def _has_unread_writer(self, readings: Mapping[ExternalInput, InputReading]) -> bool:
        """Return whether somebody writes an input whose content is read for the first time: half of it would count."""
        return any(
            reading.writer is Writer.OPEN and external.kind is InputKind.ENV_FILE and external not in self._accepted
            for external, reading in readings.items()
        )


def read(inputs: Iterable[ExternalInput]) -> Inputs:
    """Return what inputs are now, for somebody who reads them once. It blocks."""
    return InputTracker().read(inputs)


def _needed(external: ExternalInput, reading: InputReading, accepted: InputState | None) -> float:
    """Return the seconds for which a changed input has to be the same."""
    if external.within is not None and external.within.object_id is not None and not reading.state.problem:
        return 0.0  # it is what the commit has, whole; a commit's manifests and inputs count together
    periods = REST_PERIODS[external.kind]
    if reading.writer is Writer.OPEN:
        return periods.unfinished
    before = b"" if accepted is None else accepted.content
    is_cut = len(reading.state.content) < len(before) and before.startswith(reading.state.content)
    if reading.writer is Writer.UNKNOWN or is_cut:  # cut in place, it may be written anew step by step
        return periods.unknown
    return periods.closed


def _read(inputs: Iterable[ExternalInput]) -> dict[ExternalInput, InputReading]:
    writers = Writers()
    readings: dict[ExternalInput, InputReading] = {}
    total = 0
    for external in inputs:
        reading = _READERS[external.kind](external, writers)
        total += len(reading.state.content)
        if total > LARGEST_TOTAL:
            message = f"is more than all such files together may be: {LARGEST_TOTAL // 2**20} MiB"
            reading = _unusable(message, "give large data as files, by mounts")
        readings[external] = reading
    return readings


def _read_archive(external: ExternalInput, writers: Writers) -> InputReading:
    """Read an archive's metadata. That of a directory (an OCI layout) is its index's, which writers replace last."""
    path = external.path
    try:
        status = os.stat(os.path.join(path, "index.json") if os.path.isdir(path) else path)  # noqa: PTH112, PTH116, PTH118 - strings in, strings out
    except (OSError, ValueError):
        return InputReading(InputState(MISSING), Writer.UNKNOWN)
    reading = external_input.Reading(status.st_size, status.st_mtime_ns, status.st_ino)
    return InputReading(external_input.state_of(external, reading), _archive_writer(writers, path))


def _archive_writer(writers: Writers, path: str) -> Writer:
    try:
        descriptor = files.open_regular(path)
    except (OSError, ValueError):
        return Writer.UNKNOWN
    try:
        return writers.of(descriptor)
    finally:
        os.close(descriptor)


def _read_content(external: ExternalInput, writers: Writers) -> InputReading:
    """Read a small file's content, if it is one that the source may name."""
    try:
        descriptor = files.open_regular(external.path)
    except files.NoRegularFileError:
        return _unusable("is not a regular file", "name a file")
    except (OSError, ValueError) as error:
        return _unusable(*_explanation(error))
    with os.fdopen(descriptor, "rb"):
        try:
            return _read_open(external, descriptor, writers)
        except OSError as error:
            return _unusable(*_explanation(error))


def _read_open(external: ExternalInput, descriptor: int, writers: Writers) -> InputReading:
    status = os.fstat(descriptor)
    path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - where what was opened lies, whatever its links are
    folder = external.within
    if folder is not None and not _lies_below(path, folder.path):
        return _unusable("is a symlink that leaves the source's folder", "put the file itself there")
    if writers.is_of_the_kernel(descriptor):
        return _unusable("is a file that the kernel makes up: it is not read", "name a file on a disk")
    content = files.read_most(descriptor, env_file.LARGEST + 1)
    if max(status.st_size, len(content)) > env_file.LARGEST:
        message = f"is too large: {status.st_size / 2**20:.1f} MiB, the limit is {env_file.LARGEST / 2**20:g} MiB"
        return _unusable(message, "give large data as a file, by a mount")
    if folder is not None and folder.object_id is not None:
        committed = folder.object_id(path)
        if not committed:
            return _unusable("is not in the commit", "commit it: what else lies in the checkout does not count")
        if _object_id(content, len(committed)) != committed:
            message = "is not as it was committed: something on this host has changed the checkout"
            return _unusable(message, f"restore {path}, or push another commit")
    reading = external_input.Reading(status.st_size, status.st_mtime_ns, status.st_ino, content)
    age = max(0.0, time.time() - status.st_ctime)
    return InputReading(external_input.state_of(external, reading), writers.of(descriptor), age)


def _read_build(external: ExternalInput, writers: Writers) -> InputReading:
    """Look at a build's context and Dockerfile. Who writes there is not asked: each change is another build."""
    del writers
    began = time.time()  # what changes behind the walk is young: an age until its end would count that as rest
    try:
        observed = build_contexts.observe(external)
    except build_contexts.TooLarge:
        return _unusable(f"has more than {build_contexts.MOST_ENTRIES} files", "leave some out by .dockerignore")
    except (FileNotFoundError, NotADirectoryError):  # the runtime says so: its image may be there already
        return InputReading(InputState(MISSING), Writer.UNKNOWN)
    except (OSError, ValueError) as error:
        return _unusable(*_explanation(error))
    age = max(0.0, began - observed.changed_at)
    return InputReading(external_input.state_of(external, observed.reading), Writer.NONE, age)


_READERS: Mapping[InputKind, Callable[[ExternalInput, Writers], InputReading]] = {
    InputKind.ARCHIVE: _read_archive,
    InputKind.ENV_FILE: _read_content,
    InputKind.BUILD: _read_build,
}


def _unusable(message: str, hint: str) -> InputReading:
    return InputReading(InputState(MISSING, problem=message, hint=hint), Writer.UNKNOWN)


def _explanation(error: OSError | ValueError) -> tuple[str, str]:
    """Return why a file cannot be read, and the way out."""
    if not isinstance(error, OSError):
        return "is no path", "correct it"
    default = (f"cannot be read: {(error.strerror or str(error)).lower()}", "check its permissions and the disk")
    return _UNUSABLE.get(error.errno or 0, default)


def _lies_below(path: str, folder: str) -> bool:
    top = os.path.realpath(folder).rstrip("/")
    return path.startswith(top + "/")


def _object_id(content: bytes, length: int) -> str:
    """Return git's object id of a file: SHA-1 or, by the length of a known one, SHA-256."""
    data = b"blob %d\0" % len(content) + content
    is_sha1 = length == _SHA1_DIGITS
    return (hashlib.sha1(data, usedforsecurity=False) if is_sha1 else hashlib.sha256(data)).hexdigest()
