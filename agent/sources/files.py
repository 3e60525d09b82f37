"""Which files are manifests by their name, and reading one without being hurt by it. The names' part is pure."""

import errno
import os
import pathlib
import re
import stat

from agent.manifests import decode

SUFFIXES = (".yaml", ".yml", ".json")

_SCRATCH = re.compile(r"~$|^#.*#$|^4913$|\.(?:swp|swo|swx|swn|tmp|bak|orig|rej|part|crdownload)$|^__.*__\.tmp$")
"""What editors and copying programs leave beside a file: backups, swap files, Vim's 4913 probe, halves of downloads."""


def is_manifest(name: str) -> bool:
    """Tell whether a file of that name is read: a manifest's suffix, not hidden, no editor's scratch file."""
    return name.endswith(SUFFIXES) and not is_ignored(name)


def is_ignored(name: str) -> bool:
    """Tell whether a file or directory of that name is passed over, whatever it holds."""
    return name.startswith(".") or _SCRATCH.search(name) is not None


def is_volume_switch(name: str) -> bool:
    """Tell whether a name is one of those by which Kubernetes swaps a mounted ConfigMap (``..data``, ``..2026_…``)."""
    return name.startswith("..") and name != ".."


def read(path: pathlib.Path) -> tuple[bytes, str]:
    """Give a file's bytes and an empty problem, or no bytes and what is wrong. Raises ``FileNotFoundError``.

    Opened without blocking: a FIFO that is called ``web.yaml`` must not stop the agent.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if path.is_symlink():
            return b"", "this symlink points to nothing"
        raise
    except OSError as error:
        return b"", _explain(error)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return b"", "this is not a regular file"
        if found.st_size > decode.LARGEST:
            return b"", _too_large(found.st_size)
        try:
            data = file.read(decode.LARGEST + 1)
        except OSError as error:
            return b"", _explain(error)
    if len(data) > decode.LARGEST:
        return b"", _too_large(len(data))
    return data, ""


def _too_large(size: int) -> str:
    return (
        f"the file is too large: {size / 2**20:.1f} MiB, the limit is {decode.LARGEST // 2**20} MiB; "
        "split it into several files"
    )


def _explain(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "this symlink leads round in a circle"
    return f"cannot be read: {(error.strerror or str(error)).lower()}"
