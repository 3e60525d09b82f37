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


_PLAIN = ",redirect_dir=off,metacopy=off"
"""What is written above is whole, and can become a layer, whatever the kernel's defaults are."""


def mount(
    kernel: api.Kernel,
    lower: Sequence[pathlib.Path],
    own: pathlib.Path,
    target: pathlib.Path,
    *,
    is_plain: bool = False,
) -> None:
    """Mount ``lower`` (topmost first) under ``own/upper`` at ``target``; device nodes in there are dead for the host.

    ``is_plain``: what is written is to become a layer.

    Raises ``errors.InvalidArgument`` where the layers are too many for one mount, ``errors.Unavailable`` where the
    kernel refuses.
    """
    upper = own / "upper"
    if not upper.exists():
        upper.mkdir(mode=0o755, parents=True)
        _take_after(upper, lower)
    for folder in (own / "work", target):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _refusals():
        _mount(kernel, lower, own, target, _PLAIN if is_plain else "")


def mount_to_read(kernel: api.Kernel, lower: Sequence[pathlib.Path], own: pathlib.Path, target: pathlib.Path) -> None:
    """Mount the same to be read only, which a mount of it to be written to does not keep from coming. Raises as that.

    A container that has never run has nothing above its layers.
    """
    layers = [*([own / "upper"] if (own / "upper").exists() else []), *lower]
    with _refusals():
        if len(layers) == 1:  # overlayfs wants two
            kernel.mount(str(layers[0]), str(target), "", api.MS_BIND, "")
            kernel.mount("none", str(target), "", api.MS_BIND | api.MS_REMOUNT | api.MS_RDONLY | api.MS_NODEV, "")
        else:
            _mount(kernel, layers, None, target)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.Unavailable(
            f"the root file system cannot be mounted: {error.strerror}",
            hint="trimtab doctor",
            reason=Reason.MOUNT_FAILED,
        ) from error


def _mount(
    kernel: api.Kernel, lower: Sequence[pathlib.Path], own: pathlib.Path | None, target: pathlib.Path, more: str = ""
) -> None:
    """Mount, with paths as short as it takes: the kernel reads one page of options. Without ``own``, read-only."""
    flags = api.MS_NODEV | (api.MS_RDONLY if own is None else 0)
    options = _options(lower, own, more)
    if options is not None:
        kernel.mount("overlay", str(target), "overlay", flags, options)
        return
    folder = os.path.realpath(os.path.commonpath([path.parent for path in lower]))
    own = None if own is None else _relative(own, folder)
    options = _options([_relative(path, folder) for path in lower], own, more)
    if options is None:
        raise errors.InvalidArgument(
            f"an image of {len(lower)} layers does not fit into one overlay mount",
            hint="flatten the image, or use a shorter --root",
            reason=Reason.TOO_MANY_LAYERS,
        )
    kernel.mount_from(folder, "overlay", str(target), flags, options)


def _options(lower: Sequence[pathlib.Path], own: pathlib.Path | None, more: str) -> str | None:
    """Return the mount's options; ``None`` where the kernel would not read them all."""
    layers = ":".join(_escaped(path) for path in lower)
    above = "" if own is None else f",upperdir={_escaped(own / 'upper')},workdir={_escaped(own / 'work')}"
    options = f"lowerdir={layers}{above}{more}"
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


def unmount_below(kernel: api.Kernel, folder: pathlib.Path) -> None:
    """Take away all mounts below a folder, the last ones first."""
    for target in reversed(kernel.mounts()):
        if target.startswith(f"{folder}/"):
            kernel.umount(target, api.MNT_DETACH)
