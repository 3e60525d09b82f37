"""Seeding of new volumes with the image's files at the mount point, as Docker does it."""

import os
import pathlib
import secrets
import shutil

from agent import errors
from agent.engine.kernel import api as kernel_api
from agent.kit import failpoint, processes, trees
from agent.reasons import Reason

_SEED = failpoint.register("volumes.seed")
_MOVE = failpoint.register("volumes.seed.move")

_COMPLETE = "seeded"
"""Suffix of a complete copy beside the volume, moved in entry by entry. Other copies are removed after a crash."""


async def seed(kernel: kernel_api.Kernel, rootfs: pathlib.Path, inside: str, volume: pathlib.Path) -> None:
    """Fill an empty volume from the directory ``inside`` of a mounted root file system; anything else is left alone.

    The copy is made beside the volume and moved into it once it is whole: the volume's directory itself stays, since
    another container may have it mounted by now, and what that one wrote meanwhile is kept. A crash in between is
    finished by ``recover``. The path is resolved as the container will see it: a link in an image never leads out.

    Raises ``errors.NotFound`` where the volume's directory is not there, ``errors.Unavailable`` where copying fails.
    """
    try:
        if os.listdir(volume):  # noqa: PTH208 - one call, and no generator left open
            return
    except FileNotFoundError as error:
        raise errors.NotFound(
            f"the data of volume {volume.parent.name} is gone from {volume}",
            hint="put it back, or remove the volume",
            reason=Reason.VOLUME_NOT_FOUND,
        ) from error
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = kernel.open_in_root(root, inside.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # the image has nothing there, or a file: the volume stays empty
        return
    finally:
        os.close(root)
    try:
        await _copy(source, volume)
    finally:
        os.close(source)


def recover(volume: pathlib.Path) -> None:
    """Finish what a crash cut short: a whole copy goes in, an unfinished one is taken away."""
    _fill(volume)
    for left_over in volume.parent.glob("seed-*"):
        trees.remove(left_over)


async def _copy(source: int, volume: pathlib.Path) -> None:
    copy = volume.with_name(f"seed-{secrets.token_hex(4)}")
    options = processes.Options(pass_fds=(source,), timeout=None)
    try:
        completed = await processes.run(["cp", "-a", "--", f"/proc/self/fd/{source}/.", str(copy)], options)
        if completed.returncode:
            output = completed.stderr.decode(errors="replace").strip()[-500:]
            raise errors.Unavailable(f"volume {volume.parent.name} cannot be filled from the image: {output}")
        _SEED.hit()
        copy.rename(volume.with_name(_COMPLETE))
        _fill(volume)
    finally:
        trees.remove(copy)


def _fill(volume: pathlib.Path) -> None:
    """Move a whole copy into the volume; what is there already wins. Without a pause, so that nobody fills it twice."""
    copy = volume.with_name(_COMPLETE)
    if not copy.is_dir():
        return
    status = copy.stat()
    for entry in copy.iterdir():
        target = volume / entry.name
        if not os.path.lexists(target):
            entry.rename(target)
            _MOVE.hit()
    os.chown(volume, status.st_uid, status.st_gid)
    shutil.copystat(copy, volume)
    os.utime(volume, ns=(status.st_atime_ns, status.st_mtime_ns))  # the moves have changed the times
    trees.remove(copy)
