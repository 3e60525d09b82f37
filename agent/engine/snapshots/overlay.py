"""Overlay mounts: an image's layers below, a container's own changes above."""

import contextlib
import mmap
import os
import pathlib
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from agent import errors
from agent.engine.kernel import api
from agent.engine.layers import implied
from agent.reasons import Reason

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

    Raises ``errors.InvalidArgument`` where the layers are too many for one mount, ``errors.Unavailable`` where the
    kernel refuses.
    """
    upper = own / "upper"
    if not upper.exists():
        upper.mkdir(mode=0o755, parents=True)
        _take_after(upper, lower)
    for folder in (own / "work", target):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount(kernel, lower, own, target)
    except OSError as error:
        raise errors.Unavailable(
            f"the root file system cannot be mounted: {error.strerror}",
            hint="trimtab doctor",
            reason=Reason.MOUNT_FAILED,
        ) from error


def _mount(kernel: api.Kernel, lower: Sequence[pathlib.Path], own: pathlib.Path, target: pathlib.Path) -> None:
    """Mount, with paths as short as it takes: the kernel reads one page of options."""
    options = _options(lower, own)
    if options is not None:
        kernel.mount("overlay", str(target), "overlay", api.MS_NODEV, options)
        return
    folder = os.path.realpath(os.path.commonpath([path.parent for path in lower]))
    options = _options([_relative(path, folder) for path in lower], _relative(own, folder))
    if options is None:
        raise errors.InvalidArgument(
            f"an image of {len(lower)} layers does not fit into one overlay mount",
            hint="flatten the image, or use a shorter --root",
            reason=Reason.TOO_MANY_LAYERS,
        )
    kernel.mount_from(folder, "overlay", str(target), api.MS_NODEV, options)


def _options(lower: Sequence[pathlib.Path], own: pathlib.Path) -> str | None:
    """Return the mount's options; ``None`` where the kernel would not read them all."""
    layers = ":".join(_escaped(path) for path in lower)
    options = f"lowerdir={layers},upperdir={_escaped(own / 'upper')},workdir={_escaped(own / 'work')}"
    return options if len(options.encode()) < mmap.PAGESIZE else None


def _relative(path: pathlib.Path, folder: str) -> pathlib.Path:
    return pathlib.Path(os.path.relpath(os.path.realpath(path), folder))


def _take_after(upper: pathlib.Path, lower: Sequence[pathlib.Path]) -> None:
    """Give this directory, which is ``/``, the owner and the mode of the uppermost layer that has any for it."""
    mode, owner, group = 0o755, 0, 0
    stated = [path for path in lower if implied.states_top(path.parent)]
    with contextlib.suppress(IndexError, FileNotFoundError):  # what is missing, the mount tells
        status = [*stated, *lower][0].stat()
        mode, owner, group = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    os.chown(upper, owner, group)
    upper.chmod(mode)


def _escaped(path: pathlib.Path) -> str:
    return re.sub(r"([\\:,])", r"\\\1", str(path))


def unmount(kernel: api.Kernel, target: pathlib.Path) -> None:
    """Take a mount away; one that is not there is no failure. Users of it keep it alive until they end."""
    if target.is_mount():
        kernel.umount(str(target), api.MNT_DETACH)
