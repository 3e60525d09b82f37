"""Files that are there whole or not at all, also after a power loss: write, fsync, rename, fsync the directory."""

import contextlib
import os
import pathlib
import secrets

TEMPORARY_PREFIX = ".trimtab-tmp-"
"""How a file under way is called; left-overs of a crash are recognised by it."""


def write(path: pathlib.Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace ``path`` by ``data``. ``durable=False`` leaves out both fsyncs: for run files that a reboot may lose."""
    temporary = path.with_name(TEMPORARY_PREFIX + secrets.token_hex(6))
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: pathlib.Path) -> None:
    """Make renames in a directory survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
