"""Writing the files of a build's last stage to where somebody wants them: into a directory, or as a tar archive.

They are an image's, and may be hostile: nothing is written outside of the directory, and no file in it has rights on
this host (set-user-ID, capabilities, devices).
"""

import os
import pathlib
import secrets
import stat
from collections.abc import Iterator

from agent import errors
from agent.distribution.content import store
from agent.dockerfile import ignore, outputs
from agent.engine.build import disk_trees, trees, writing
from agent.engine.kernel import api
from agent.engine.layers import pack

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ARCHIVE_MODE = 0o644


def write(kernel: api.Kernel, root: pathlib.Path, output: outputs.Output, epoch: int | None) -> None:
    """Write the tree that is mounted at ``root``. It blocks.

    Files in the way are replaced, other files of the directory stay. Raises ``errors.InvalidArgument`` where a
    directory is in the way of a file or the other way round, ``errors.Unavailable`` as a full disk does.
    """
    top = os.open(root, _FOLDER)
    try:
        with store.translated_writes():
            if output.type is outputs.OutputType.TAR:
                _tar(top, pathlib.Path(output.path), epoch)
            else:
                _copy(kernel, top, pathlib.Path(output.path))
    finally:
        os.close(top)


def _tar(top: int, path: pathlib.Path, epoch: int | None) -> None:
    """Write an archive in place of what is there: the whole of it, or nothing."""
    if path.is_dir():
        raise errors.InvalidArgument(f"{path} is a directory", hint="name a file: type=tar,dest=FILE")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with partial.open("xb") as file:
            pack.pack(top, file, epoch, states_top=False)
        partial.chmod(_ARCHIVE_MODE)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _copy(kernel: api.Kernel, top: int, target: pathlib.Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise errors.InvalidArgument(f"{target} is no directory", hint="name another one, or a new one") from None
    tree = disk_trees.DiskTree(kernel, top)
    owner = writing.Owner(os.geteuid(), os.getegid(), keeps_rights=False)
    writing.copy_tree(kernel, tree, _entries(tree), target, owner)


def _entries(tree: disk_trees.DiskTree) -> Iterator[trees.Entry]:
    """Yield what is written: no devices, FIFOs and sockets."""
    for entry in trees.below(tree, "", ignore.Ignore()):
        mode = entry.status.mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            yield entry
