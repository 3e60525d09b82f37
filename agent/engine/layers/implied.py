"""Implied directories: those that have no entry in a layer, and exist because something in them has.

Such a directory hides the one below it, with its mode, owner and times, unless it takes them over (containers/storage's
issue 1653: a ``/tmp`` that nobody may write to). Which ones they are is known when the layer is unpacked, and what lies
below it only later: so they are noted beside the unpacked layer.
"""

import contextlib
import os
import pathlib
import posixpath
from collections.abc import Iterator, Sequence

from agent.kit import frozen

_FOLDERS, _TOP = "implied", "top"
_OPAQUE = "trusted.overlay.opaque"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen.value
class Implied:
    """The directories of an unpacked layer that had no entry of their own."""

    folders: tuple[str, ...]
    """Implied directories relative to the layer's top, outer ones first."""
    top: bool
    """The layer's top has no entry either."""


def write(snapshot: pathlib.Path, notes: Implied) -> None:
    """Write the list beside the unpacked layer, in the directory that holds it."""
    if notes.folders:
        (snapshot / _FOLDERS).write_bytes(b"\0".join(map(os.fsencode, notes.folders)))
    if not notes.top:
        (snapshot / _TOP).touch()


def has_folders(snapshot: pathlib.Path) -> bool:
    """Return whether attributes have to be copied from the layers below."""
    return (snapshot / _FOLDERS).exists()


def states_top(snapshot: pathlib.Path) -> bool:
    """Return whether a layer has an entry for its top directory."""
    return (snapshot / _TOP).exists()


def inherit(snapshot: pathlib.Path, layer: pathlib.Path, lower: Sequence[pathlib.Path]) -> None:
    """Copy owner, mode, times and attributes of the directories below to a layer's implied ones.

    ``lower``: the layers below, topmost first. Blocks. Raises ``OSError``.
    """
    new: set[str] = set()
    for encoded in (snapshot / _FOLDERS).read_bytes().split(b"\0") if lower else ():
        folder = os.fsdecode(encoded)
        if posixpath.dirname(folder) in new or not _inherited(layer, folder, lower):
            new.add(folder)
    (snapshot / _FOLDERS).unlink()


def _inherited(layer: pathlib.Path, folder: str, lower: Sequence[pathlib.Path]) -> bool:
    """Copy attributes to one directory from the one that it hides; return whether it hides any."""
    with _visible(lower, folder) as source:
        if source is None:
            return False
        with _opened(layer, folder) as target:
            if target is not None:
                _take_over(source, target)
        return True


@contextlib.contextmanager
def _visible(lower: Sequence[pathlib.Path], folder: str) -> Iterator[int | None]:
    """Open the directory that would be seen there without the layer, as overlayfs finds it; ``None``: there is none."""
    with contextlib.ExitStack() as stack:
        for layer in lower:
            walk = _Walk(layer)
            source = stack.enter_context(walk.to(folder))
            if source is not None or walk.hides_lower:
                yield source
                return
        yield None


@contextlib.contextmanager
def _opened(layer: pathlib.Path, folder: str) -> Iterator[int | None]:
    with _Walk(layer).to(folder) as descriptor:
        yield descriptor


class _Walk:
    """A descent into a layer's directories, which follows no links."""

    def __init__(self, layer: pathlib.Path) -> None:
        self._layer = layer
        self.hides_lower = False
        """Whether lower layers are hidden at the end of the descent."""

    @contextlib.contextmanager
    def to(self, folder: str) -> Iterator[int | None]:
        """Open a directory; ``None`` where there is none."""
        here: int | None = os.open(self._layer, _FOLDER)
        try:
            for name in folder.split("/"):
                here = self._step(here, name)
                if here is None:
                    break
            yield here
        finally:
            if here is not None:
                os.close(here)

    def _step(self, here: int | None, name: str) -> int | None:
        assert here is not None  # noqa: S101 - the way ends where there is nothing
        try:
            self.hides_lower = self.hides_lower or _is_opaque(here)
            return os.open(name, _FOLDER, dir_fd=here)
        except FileNotFoundError:
            return None
        except OSError:  # a link, a whiteout or a file in its place
            self.hides_lower = True
            return None
        finally:
            os.close(here)


def _is_opaque(folder: int) -> bool:
    with contextlib.suppress(OSError):  # there is no mark
        return os.getxattr(folder, _OPAQUE) == b"y"
    return False


def _take_over(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    for name in os.listxattr(source):
        if name.startswith("user."):
            os.setxattr(target, name, os.getxattr(source, name))
    os.fchmod(target, status.st_mode & 0o7777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
