"""Overlay mounts: an image's layers below, a container's own changes above."""

import contextlib
import mmap
import os
import pathlib
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from agent.engine import errors
from agent.engine.kernel import api

_OPAQUE = "trusted.overlay.opaque"


def visible(lower: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    """Leave out the layers (topmost first) below one that hides all: at a layer's top overlayfs misses the mark."""
    for path in lower:
        yield path
        with contextlib.suppress(OSError):  # there is no mark
            if os.getxattr(path, _OPAQUE) == b"y":
                return


def mount(kernel: api.Kernel, lower: Sequence[pathlib.Path], own: pathlib.Path, target: pathlib.Path) -> None:
    """Mount ``lower`` (topmost first) under ``own/upper`` at ``target``; device nodes in there are dead for the host.

    Raises ``errors.Refused`` where the layers are too many for one mount, ``errors.Unavailable`` where the kernel
    refuses.
    """
    upper = own / "upper"
    if not upper.exists():
        upper.mkdir(mode=0o755, parents=True)
        _take_after(upper, lower)
    for folder in (own / "work", target):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    layers = ":".join(_escaped(path) for path in lower)
    options = f"lowerdir={layers},upperdir={_escaped(own / 'upper')},workdir={_escaped(own / 'work')}"
    if len(options.encode()) >= mmap.PAGESIZE:
        raise errors.Refused(
            f"an image of {len(lower)} layers does not fit into one overlay mount",
            hint="flatten the image, or use a shorter --root",
            reason="TooManyLayers",
        )
    try:
        kernel.mount("overlay", str(target), "overlay", api.MS_NODEV, options)
    except OSError as error:
        raise errors.Unavailable(
            f"the root file system cannot be mounted: {error.strerror}", hint="trimtab doctor", reason="MountFailed"
        ) from error


def _take_after(upper: pathlib.Path, lower: Sequence[pathlib.Path]) -> None:
    """Give ``/`` the owner and the mode that the image says: those of the uppermost directory are what counts."""
    mode, owner, group = 0o755, 0, 0
    with contextlib.suppress(IndexError, FileNotFoundError):  # what is missing, the mount tells
        found = lower[0].stat()
        mode, owner, group = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    os.chown(upper, owner, group)
    upper.chmod(mode)


def _escaped(path: pathlib.Path) -> str:
    return re.sub(r"([\\:,])", r"\\\1", str(path))


def unmount(kernel: api.Kernel, target: pathlib.Path) -> None:
    """Take a mount away; one that is not there is no failure. Users of it keep it alive until they end."""
    if target.is_mount():
        kernel.umount(str(target), api.MNT_DETACH)
