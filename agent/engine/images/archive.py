"""Image archives: OCI layouts (directory or tar) and Docker's ``save`` format, read into the content store.

An archive is a stranger's file: names in it are only ever compared, never used as paths of ours, and every blob is
verified on its way into the store.
"""

import contextlib
import hashlib
import io
import pathlib
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Protocol

from agent.engine import errors
from agent.engine.content import store
from agent.engine.layers import streams
from agent.kit import canonical
from agent.oci import descriptor, digest, document, manifest, mediatypes

_CHUNK = 1024 * 1024
_LARGEST_DOCUMENT = 4 * 1024 * 1024


class Files(Protocol):
    """The files of an archive, by the names in it."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file. Raises ``errors.Refused`` where there is none."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""


def read(path: pathlib.Path, content: store.ContentStore) -> bytes:
    """Bring an archive's image into the store and give its top document: a manifest or an index.

    Raises ``errors.NotFound`` where there is no archive, ``errors.Refused`` where it is none or is hostile.
    """
    try:
        with _opened(path) as files:
            if files.has("oci-layout"):
                return _oci(files, content)
            if files.has("manifest.json"):
                return _docker(files, content)
    except FileNotFoundError as error:
        raise errors.NotFound(
            f"there is no archive at {path}", hint="build or copy it there", reason="ArchiveNotFound"
        ) from error
    except (tarfile.TarError, document.Malformed, EOFError, OSError) as error:
        raise errors.Refused(f"{path} is no sound image archive: {error}", reason="ArchiveDamaged") from error
    raise errors.Refused(
        f"{path} is neither an OCI layout nor a docker-archive", hint="see skopeo copy", reason="ArchiveDamaged"
    )


def _oci(files: Files, content: store.ContentStore) -> bytes:
    index = manifest.parse(_document(files, "index.json"), mediatypes.INDEX)
    if not isinstance(index, manifest.Index) or len(index.manifests) != 1:
        raise errors.Refused(
            "the archive's index.json must name exactly one image",
            hint="skopeo copy writes one",
            reason="ArchiveDamaged",
        )
    return _copy_tree(files, content, index.manifests[0])


def _copy_tree(files: Files, content: store.ContentStore, top: descriptor.Descriptor) -> bytes:
    """Copy a manifest or index with all that it names and the archive has; the other platforms' may be missing."""
    data = _copy(files, content, top)
    parsed = manifest.parse(data, top.media_type)
    if isinstance(parsed, manifest.Index):
        present = [child for child in parsed.manifests if files.has(_blob(child))]
        for child in present:
            if child.media_type in mediatypes.INDEXES:
                raise errors.Refused("the archive nests an index in an index", reason="ArchiveDamaged")
            _copy_tree(files, content, child)
    else:
        for blob in (parsed.config, *parsed.layers):
            _copy(files, content, blob, small=blob is parsed.config)
    return data


def _copy(files: Files, content: store.ContentStore, blob: descriptor.Descriptor, *, small: bool = True) -> bytes:
    """Copy a blob; a small one is given back."""
    if small and blob.size > _LARGEST_DOCUMENT:
        raise errors.Refused(f"{blob.digest} is too large for what it is", reason="ArchiveDamaged")
    if not content.has(blob.digest):
        with files.open(_blob(blob)) as source, content.ingest(blob) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
    return content.read(blob.digest) if small else b""


def _blob(blob: descriptor.Descriptor) -> str:
    algorithm, encoded = digest.parse(blob.digest)
    return f"blobs/{algorithm}/{encoded}"


def _docker(files: Files, content: store.ContentStore) -> bytes:
    """Turn ``docker save``'s format into a manifest: its layers are plain tars, named by path and not by digest."""
    listed = document.parse(b'{"images":' + _document(files, "manifest.json") + b"}", "manifest.json")
    images = listed.children("images")
    if len(images) != 1:
        raise errors.Refused(
            f"the archive has {len(images)} images, and must have one", hint="save one image", reason="ArchiveDamaged"
        )
    config = content.put(mediatypes.CONFIG, _document(files, images[0].text("Config")))
    layers = [_docker_layer(files, content, name) for name in images[0].texts("Layers")]
    told = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }
    return canonical.dumps(told)


def _docker_layer(files: Files, content: store.ContentStore, name: str) -> descriptor.Descriptor:
    hashed, size = hashlib.sha256(), 0
    with files.open(name) as source:
        while chunk := source.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
    told = descriptor.Descriptor(mediatypes.LAYER, f"sha256:{hashed.hexdigest()}", size)
    with files.open(name) as source:
        if not content.has(told.digest):
            with content.ingest(told) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    return told


def _document(files: Files, name: str) -> bytes:
    with files.open(name) as file:
        data = file.read(_LARGEST_DOCUMENT + 1)
    if len(data) > _LARGEST_DOCUMENT:
        raise errors.Refused(f"{name[:100]} in the archive is too large", reason="ArchiveDamaged")
    return data


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Files]:
    if path.is_dir():
        yield _Folder(path)
        return
    with path.open("rb") as file, _seekable(file) as plain, tarfile.open(fileobj=plain, mode="r:") as archive:
        yield _Tar(archive)


@contextlib.contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a file as it is, or unpacked into an unnamed one where it is compressed: members are read out of order."""
    plain = streams.decompressed(file)
    if plain is file:
        yield file
        return
    limits = streams.Limits()
    bounded = streams.Bounded(plain, file.seek(0, io.SEEK_END), limits)
    file.seek(0)
    with tempfile.TemporaryFile() as unpacked:
        while chunk := bounded.read(_CHUNK):
            unpacked.write(chunk)
        unpacked.seek(0)
        yield unpacked


class _Folder:
    """An OCI layout as a directory. Links in it are followed no further than to files inside."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path.resolve()

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        path = (self._path / name).resolve()
        if not path.is_relative_to(self._path) or not path.is_file():
            raise errors.Refused(f"the layout has no file {name[:100]!r}", reason="ArchiveDamaged")
        with path.open("rb") as file:
            yield file

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()


class _Tar:
    """A tar archive; links in ``docker save``'s older form are resolved by name, inside of it."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive}

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        member = self._members.get(name)
        if member is not None and member.issym():
            member = self._members.get(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
        file = self._archive.extractfile(member) if member is not None and member.isfile() else None
        if file is None:
            raise errors.Refused(f"the archive has no file {name[:100]!r}", reason="ArchiveDamaged")
        with file:
            yield file

    def has(self, name: str) -> bool:
        return name in self._members
