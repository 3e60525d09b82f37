"""Which files are manifests by their name (pure), and reading one safely."""

import errno
import os
import pathlib
import re
import stat

from agent.kit import files, frozen
from agent.kit.writers import Writer, Writers
from agent.manifests import decode

SUFFIXES = (".yaml", ".yml", ".json")

DANGLING = "this symlink points to nothing: mend or remove it"

_ABSENCE = (FileNotFoundError, NotADirectoryError)

_ATTEMPTS = 3
"""Attempts to read a file that changes meanwhile, before it counts as changing."""

_SCRATCH = re.compile(r"~$|^#.*#$|^4913$|\.(?:swp|swo|swx|swn|tmp|bak|orig|rej|part|crdownload)$|^__.*__\.tmp$")
"""What editors and copying programs leave beside a file: backups, swap files, Vim's 4913 probe, halves of downloads."""


def is_manifest(name: str) -> bool:
    """Return whether a file name is a manifest's: its suffix, not hidden, no editor's scratch file."""
    return name.endswith(SUFFIXES) and not is_ignored(name)


def is_ignored(name: str) -> bool:
    """Return whether a file or directory is skipped because of its name."""
    return name.startswith(".") or _SCRATCH.search(name) is not None


def is_volume_switch(name: str) -> bool:
    """Return whether Kubernetes swaps a mounted ConfigMap by an entry of that name (``..data``, ``..2026_…``)."""
    return name.startswith("..") and name != ".."


@frozen.value
class FileContent:
    """A file's bytes, and whether they may be incomplete."""

    data: bytes
    problem: str = ""
    """Why there are no bytes; empty where there are."""
    signature: tuple[int, int, int, int, int] | None = None
    """Device, inode, size, and the times of the last write and the last change; ``None`` where it was not read."""
    torn: bool = False
    """It was changed or replaced while it was read."""
    writer: Writer = Writer.NONE
    """Who had it open for writing after it was read; not asked where it holds what was accepted."""
    age: float = 0.0
    """Seconds since it was last changed."""
    generation: int = 0
    """Tells it from files that had the same inode before; 0 where the file system does not say."""


def read(path: pathlib.Path, writers: Writers, accepted: bytes | None, began: float) -> FileContent:
    """Read a file, with whether it may be incomplete: its identity before and after, and its open writers.

    ``accepted`` is the content accepted before; ``began`` is the time at which the reading of all files began, in
    seconds since the epoch: ages are counted until then, so that no file counts as rested before an older one that was
    read earlier. Raises ``OSError`` where the file has been removed, also meanwhile, and
    for nothing else. Only regular files are opened, and without blocking: a FIFO that is called ``web.yaml`` must not
    stop the agent.
    """
    try:
        for _ in range(_ATTEMPTS):
            reading = _read_once(path, writers, accepted, began)
            if not reading.torn:
                break
    except OSError as error:
        problem = obstacle(path, error)
        if not problem:
            raise
        return FileContent(b"", problem)
    return reading


def obstacle(path: pathlib.Path, error: OSError) -> str:
    """Return why what a directory lists cannot be looked at; empty where it was removed since.

    A link is there as long as its name is, wherever it leads: what it declares is not known, and not gone.
    """
    if not isinstance(error, _ABSENCE):
        return _explain(error)
    try:
        is_link = stat.S_ISLNK(path.lstat().st_mode)
    except _ABSENCE:
        return ""
    except OSError as worse:
        return _explain(worse)
    return DANGLING if is_link else ""


def _read_once(path: pathlib.Path, writers: Writers, accepted: bytes | None, began: float) -> FileContent:
    descriptor = files.open_regular(path)
    with os.fdopen(descriptor, "rb"):
        before = os.fstat(descriptor)
        if writers.is_of_the_kernel(descriptor):
            return FileContent(b"", "this is a file that the kernel makes up: it is not read")
        if problem := too_large(before.st_size):
            return FileContent(b"", problem)
        data = files.read_most(descriptor, decode.LARGEST + 1)
        if problem := too_large(len(data)):
            return FileContent(b"", problem)
        writer = Writer.NONE if data == accepted else writers.of(descriptor)
        signature = _signature(os.fstat(descriptor))
        torn = signature != _signature(before) or len(data) != before.st_size or _signature(path.stat()) != signature
        generation = files.generation(descriptor)
    age = max(0.0, began - signature[-1] / 1e9)
    return FileContent(data, "", signature, torn, writer, age, generation)


def _signature(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def too_large(size: int) -> str:
    """Return the problem of a manifest of ``size`` bytes; empty where it is not too large."""
    if size <= decode.LARGEST:
        return ""
    return (
        f"the file is too large: {size / 2**20:.1f} MiB, the limit is {decode.LARGEST // 2**20} MiB; "
        "split it into several files"
    )


def _explain(error: OSError) -> str:
    if isinstance(error, files.NoRegularFileError):
        return "this is not a regular file"
    if error.errno == errno.ELOOP:
        return "this symlink leads round in a circle"
    return f"cannot be read: {(error.strerror or str(error)).lower()}"
