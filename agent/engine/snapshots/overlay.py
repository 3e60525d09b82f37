"""Overlay mounts: an image's layers below, a container's own changes above."""

import mmap
import pathlib
from collections.abc import Sequence

from agent.engine import errors
from agent.engine.kernel import api


def mount(kernel: api.Kernel, lower: Sequence[pathlib.Path], own: pathlib.Path, target: pathlib.Path) -> None:
    """Mount ``lower`` (topmost first) under ``own/upper`` at ``target``; device nodes in there are dead.

    Raises ``errors.Refused`` where the layers are too many for one mount, ``errors.Unavailable`` where the kernel
    refuses.
    """
    for folder in (own / "upper", own / "work", target):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(str(path) for path in lower)},upperdir={own}/upper,workdir={own}/work"
    if len(options) >= mmap.PAGESIZE:
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


def unmount(kernel: api.Kernel, target: pathlib.Path) -> None:
    """Take a mount away; one that is not there is no failure. Users of it keep it alive until they end."""
    if target.is_mount():
        kernel.umount(str(target), api.MNT_DETACH)
