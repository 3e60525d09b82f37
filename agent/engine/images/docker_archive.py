"""Image archives for and from engines with the Docker API, which load and save but one kind: ``docker save``'s.

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

from agent.engine import errors, layout
from agent.engine.content import store
from agent.engine.images import archive, rootfs, saving
from agent.oci import document, manifest, platform


def convert(path: pathlib.Path, name: str, out: IO[bytes], work: pathlib.Path | None = None) -> None:
    """Write the image of an archive (OCI layout, OCI archive or docker-archive) to ``out``, under a reference.

    ``work`` is a directory for what is needed meanwhile, about twice the image; ``None``: the system's own. Raises what
    ``archive.read`` raises, and ``errors.NotFound`` (``PlatformNotFound``).
    """
    with _between(path, work) as content:
        chosen = _chosen(archive.read(path, content), content)
        saving.write(saving.Format.DOCKER, [saving.Image((name,), chosen)], content, out)


def convert_all(path: pathlib.Path, out: IO[bytes], work: pathlib.Path | None = None) -> tuple[str, ...]:
    """Write all images of an archive under the names that it gives them, and give those.

    Raises as ``convert``, and ``errors.Refused`` (``ImageNameless``) where one has no name.
    """
    with _between(path, work) as content:
        found = archive.named(archive.read_all(path, content))
        images = [saving.Image(one.names, _chosen(one.data, content)) for one in found]
        saving.write(saving.Format.DOCKER, images, content, out)
        return tuple(name for one in images for name in one.names)


def as_oci(path: pathlib.Path, names: tuple[str, ...], out: saving.Sink, work: pathlib.Path | None = None) -> None:
    """Write an archive of ``docker save`` as an OCI archive, under those of its names that are asked for."""
    with _between(path, work) as content:
        images = [
            saving.Image(tuple(name for name in one.names if name in names), one.data)
            for one in archive.read_all(path, content)
        ]
        saving.write(saving.Format.OCI, images, content, out)


def of_root(path: pathlib.Path, name: str, root: rootfs.Root, out: IO[bytes], work: pathlib.Path | None = None) -> None:
    """Write an image of one layer, a root file system's tar. Raises what ``rootfs.made`` raises."""
    with _between(path, work) as content:
        images = [saving.Image((name,), rootfs.made(path, root, content))]
        saving.write(saving.Format.DOCKER, images, content, out)


@contextlib.contextmanager
def _between(path: pathlib.Path, work: pathlib.Path | None) -> Iterator[store.ContentStore]:
    """Give a content store for a moment, and say what went wrong with an archive."""
    try:
        with tempfile.TemporaryDirectory(prefix="trimtab-archive-", dir=work) as folder:
            where = layout.of(pathlib.Path(folder, "root"), pathlib.Path(folder, "run"))
            where.prepare()
            content = store.ContentStore(where)
            content.prepare()
            yield content
    except document.Malformed as error:
        raise errors.Refused(f"{path} is no sound image archive: {error}", reason="ArchiveDamaged") from error
    except OSError as error:
        reason = "DiskFull" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "HostFailure"
        raise errors.Unavailable(f"{path} cannot be converted: {error.strerror}", reason=reason) from error


def _chosen(data: bytes, content: store.ContentStore) -> bytes:
    """Give the manifest for this host: of an index, the one that it names for it."""
    parsed = manifest.parse(data)
    if isinstance(parsed, manifest.Manifest):
        return data
    wanted = platform.of_machine(machine.machine())
    number = platform.choose(wanted, [child.platform for child in parsed.manifests])
    if number is None:
        raise errors.NotFound(f"the image is not made for {wanted}", reason="PlatformNotFound")
    return content.read(parsed.manifests[number].digest)
