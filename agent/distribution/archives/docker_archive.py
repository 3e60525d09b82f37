"""Conversion of image archives for engines with the Docker API, which load and save only ``docker save``'s format.

Layers are written as plain tars: older engines do not know all compressions. What is written is read through a
content store first, so every blob in it is verified, and every layer against the config as well.
"""

import contextlib
import errno
import pathlib
import platform as machine
import tempfile
from collections.abc import Iterator
from typing import IO

from agent import errors
from agent.distribution.archives import archive, rootfs, saving
from agent.distribution.content import store
from agent.oci import archives, document, manifest, platform
from agent.reasons import Reason


def convert(path: pathlib.Path, name: str, out: IO[bytes], work: pathlib.Path | None = None) -> None:
    """Write the image of an archive (OCI layout, OCI archive or docker-archive) to ``out``, under a reference.

    ``work`` is a directory for what is needed meanwhile, about twice the image; ``None``: the system's own. Raises what
    ``archive.read`` raises, and ``errors.NotFound`` (``PlatformNotFound``).
    """
    with _between(path, work) as content:
        chosen = _chosen(archive.read(path, content, name), content)
        saving.write(archives.ArchiveFormat.DOCKER, [saving.ArchiveEntry((name,), chosen)], content, out)


def convert_all(path: pathlib.Path, out: IO[bytes], work: pathlib.Path | None = None) -> tuple[str, ...]:
    """Write all images of an archive under their names in it, and return the names.

    Raises as ``convert``, and ``errors.InvalidArgument`` (``ImageNameless``) where one has no name.
    """
    with _between(path, work) as content:
        archived = archive.named(archive.read_all(path, content))
        images = [saving.ArchiveEntry(image.names, _chosen(image.data, content)) for image in archived]
        saving.write(archives.ArchiveFormat.DOCKER, images, content, out)
        return tuple(name for image in images for name in image.names)


def as_oci(path: pathlib.Path, names: tuple[str, ...], out: archives.Sink, work: pathlib.Path | None = None) -> None:
    """Write an archive of ``docker save`` as an OCI archive, under those of its names that are asked for."""
    with _between(path, work) as content:
        images = [
            saving.ArchiveEntry(tuple(name for name in image.names if name in names), image.data)
            for image in archive.read_all(path, content)
        ]
        saving.write(archives.ArchiveFormat.OCI, images, content, out)


def of_root(
    path: pathlib.Path,
    name: str,
    root: archives.RootImage,
    created: float,
    out: IO[bytes],
    work: pathlib.Path | None = None,
) -> None:
    """Write an image of one layer, a root file system's tar. Raises what ``rootfs.make_image`` raises."""
    with _between(path, work) as content:
        images = [saving.ArchiveEntry((name,), rootfs.make_image(path, root, created, content))]
        saving.write(archives.ArchiveFormat.DOCKER, images, content, out)


@contextlib.contextmanager
def _between(path: pathlib.Path, work: pathlib.Path | None) -> Iterator[store.ContentStore]:
    """Yield a temporary content store; an archive's damage is translated to ``errors.InvalidArgument``."""
    try:
        with tempfile.TemporaryDirectory(prefix="trimtab-archive-", dir=work) as folder:
            content = store.ContentStore(pathlib.Path(folder))
            content.prepare()
            yield content
    except document.Malformed as error:
        raise errors.InvalidArgument(
            f"{path} is no sound image archive: {error}", reason=Reason.ARCHIVE_DAMAGED
        ) from error
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else Reason.HOST_FAILURE
        raise errors.Unavailable(f"{path} cannot be converted: {error.strerror}", reason=reason) from error


def _chosen(data: bytes, content: store.ContentStore) -> bytes:
    """Return the manifest for this host: of an index, the one that it names for it."""
    parsed = manifest.parse(data)
    if isinstance(parsed, manifest.Manifest):
        return data
    host = platform.of_machine(machine.machine())
    number = platform.choose(host, [child.platform for child in parsed.manifests])
    if number is None:
        raise errors.NotFound(f"the image is not made for {host}", reason=Reason.PLATFORM_NOT_FOUND)
    return content.read(parsed.manifests[number].digest)
