"""Image archives: OCI layouts (directory or tar) and Docker's ``save`` format, read into the content store.

An archive is a stranger's file: names in it are only ever compared, never used as paths of ours, and every blob is
verified on its way into the store.
"""

import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import IO, Protocol

from agent.engine import errors
from agent.engine.content import store
from agent.engine.layers import entries, streams
from agent.kit import canonical
from agent.oci import descriptor, digest, document, manifest, mediatypes, reference

_CHUNK = 1024 * 1024
_LARGEST_DOCUMENT = 4 * 1024 * 1024
_MOST_FILES = 50_000
_MOST_IMAGES = 1000
NAME_ANNOTATION = "io.containerd.image.name"
REF_ANNOTATION = "org.opencontainers.image.ref.name"


class Files(Protocol):
    """The files of an archive, by the names in it."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file. Raises ``errors.Refused`` where there is none."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """An image of an archive."""

    names: tuple[str, ...]
    """The references that the archive gives it, in their canonical form."""
    data: bytes
    """Its top document: a manifest or an index."""


def read(path: pathlib.Path, content: store.ContentStore) -> bytes:
    """Bring an archive's only image into the store and give its top document: a manifest or an index.

    Raises ``errors.NotFound`` where there is no archive, ``errors.Refused`` where it is none or is hostile.
    """
    return _read(path, content, most=1)[0].data


def read_all(path: pathlib.Path, content: store.ContentStore) -> list[Found]:
    """Bring all images of an archive into the store, each once, however many names it has. Raises as ``read``."""
    return _read(path, content, most=_MOST_IMAGES)


def named(found: list[Found]) -> list[Found]:
    """Give images that are to be known by the names in their archive. Raises ``errors.Refused`` where one has none."""
    if not all(one.names for one in found):
        nameless = sum(not one.names for one in found)
        raise errors.Refused(
            f"{nameless} of {len(found)} images in the archive have no name",
            hint="load it under a name: --as REFERENCE" if len(found) == 1 else "save them by name",
            reason="ImageNameless",
        )
    return found


def _read(path: pathlib.Path, content: store.ContentStore, *, most: int) -> list[Found]:
    try:
        with _opened(path, content) as files:
            if files.has("oci-layout"):
                return _oci(files, content, most)
            if files.has("manifest.json"):
                return _docker(files, content, most)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.NotFound(
            f"there is no archive at {path}", hint="build or copy it there", reason="ArchiveNotFound"
        ) from error
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}", reason="HostFailure") from error
    except (entries.Unsound, document.Malformed) as error:
        raise errors.Refused(f"{path} is no sound image archive: {error}", reason="ArchiveDamaged") from error
    raise errors.Refused(
        f"{path} is neither an OCI layout nor a docker-archive", hint="see skopeo copy", reason="ArchiveDamaged"
    )


def _oci(files: Files, content: store.ContentStore, most: int) -> list[Found]:
    index = manifest.parse(_document(files, "index.json"), mediatypes.INDEX)
    if not isinstance(index, manifest.Index) or not 1 <= len(index.manifests) <= most:
        raise errors.Refused(
            "the archive's index.json must name exactly one image" if most == 1 else "the archive names no image",
            hint="skopeo copy writes one",
            reason="ArchiveDamaged",
        )
    found: dict[str, Found] = {}
    for top in index.manifests:
        data = found[top.digest].data if top.digest in found else _copy_image(files, content, top)
        earlier = found[top.digest].names if top.digest in found else ()
        found[top.digest] = Found((*earlier, *_oci_names(top)), data)
    return list(found.values())


def _oci_names(top: descriptor.Descriptor) -> tuple[str, ...]:
    """Give the name that an index has for an image. Docker and containerd say it whole; others may say only a tag."""
    told = dict(top.annotations)
    name = told.get(NAME_ANNOTATION) or told.get(REF_ANNOTATION, "")
    return _canonical([name] if "/" in name or ":" in name else [])


def _canonical(names: Iterable[str]) -> tuple[str, ...]:
    """Give what can be names of images. One with a digest is none: nobody has seen whether it is that image's."""
    found = []
    for name in names:
        with contextlib.suppress(reference.InvalidReference):
            parsed = reference.parse(name)
            if not parsed.digest:
                found.append(str(parsed))
    return tuple(dict.fromkeys(found))


def _copy_image(files: Files, content: store.ContentStore, top: descriptor.Descriptor) -> bytes:
    """Copy an image, or an index with all images that the archive has; other platforms' may be missing."""
    data = _copy(files, content, top)
    parsed = manifest.parse(data, top.media_type)
    if isinstance(parsed, manifest.Manifest):
        _copy_blobs(files, content, parsed)
        return data
    for child in {child.digest: child for child in parsed.manifests if files.has(_blob(child))}.values():
        inner = manifest.parse(_copy(files, content, child), child.media_type)
        if not isinstance(inner, manifest.Manifest):
            raise errors.Refused("the archive nests an index in an index", reason="ArchiveDamaged")
        _copy_blobs(files, content, inner)
    return data


def _copy_blobs(files: Files, content: store.ContentStore, image: manifest.Manifest) -> None:
    _copy(files, content, image.config)
    for layer in image.layers:
        _copy(files, content, layer, small=False)


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


def _docker(files: Files, content: store.ContentStore, most: int) -> list[Found]:
    """Turn ``docker save``'s format into manifests: its layers are plain tars, named by path and not by digest."""
    listed = document.parse(b'{"images":' + _document(files, "manifest.json") + b"}", "manifest.json")
    images = listed.children("images")
    if not 1 <= len(images) <= most:
        wanted = "one" if most == 1 else f"1 to {most}"
        raise errors.Refused(
            f"the archive has {len(images)} images, and must have {wanted}",
            hint="save one image",
            reason="ArchiveDamaged",
        )
    known: dict[str, descriptor.Descriptor] = {}
    return [Found(_canonical(one.texts("RepoTags")), _docker_image(files, content, one, known)) for one in images]


def _docker_image(
    files: Files, content: store.ContentStore, image: document.Node, known: dict[str, descriptor.Descriptor]
) -> bytes:
    """Give an image's manifest; ``known``: the layers that are in the store already, by their names in the archive."""
    config = content.put(mediatypes.CONFIG, _document(files, image.text("Config")))
    names = image.texts("Layers")
    if len(names) > manifest.MOST_LAYERS:
        message = f"the archive's image has more than {manifest.MOST_LAYERS} layers"
        raise errors.Refused(message, reason="ArchiveDamaged")
    for name in names:
        if name not in known:
            known[name] = _docker_layer(files, content, name)
    layers = [known[name] for name in names]
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
def _opened(path: pathlib.Path, content: store.ContentStore) -> Iterator[Files]:
    if path.is_dir():
        yield _Folder(path)
        return
    if path.exists() and not path.is_file():
        raise errors.Refused(f"{path} is neither a file nor a directory", reason="ArchiveDamaged")
    with path.open("rb") as file, _seekable(file, content) as plain:
        yield _Tar(plain)


@contextlib.contextmanager
def _seekable(file: IO[bytes], content: store.ContentStore) -> Iterator[IO[bytes]]:
    """Give a file as it is, or unpacked into an unnamed one where it is compressed: members are read out of order."""
    compressed = streams.is_compressed(file.read(4))
    file.seek(0)
    if not compressed:
        yield file
        return
    size = os.fstat(file.fileno()).st_size
    bounded = streams.Bounded(streams.decompressed(file), size, streams.Limits())
    with content.scratch() as unpacked:
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
        path = self._find(name)
        if path is None:
            raise _no_file(name)
        with path.open("rb") as file:
            yield file

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> pathlib.Path | None:
        try:
            path = (self._path / name).resolve()
            return path if path.is_relative_to(self._path) and path.is_file() else None
        except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, no file name at all, a loop of links
            return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """Where a file of an archive is."""

    at: int
    size: int
    link: str
    """Empty for a file."""


class _Tar:
    """A tar archive; links in ``docker save``'s older form are resolved by name, inside of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members: dict[str, _Member] = {}
        self._end = file.seek(0, io.SEEK_END)
        file.seek(0)
        for count, entry in enumerate(entries.Entries(file, self._skip)):
            if count >= _MOST_FILES:
                raise entries.Unsound(f"it has more than {_MOST_FILES} files")
            if entry.kind in {entries.Kind.FILE, entries.Kind.SYMLINK}:
                link = entry.link if entry.kind is entries.Kind.SYMLINK else ""
                self._members[entry.name.removeprefix("./")] = _Member(file.tell(), entry.size, link)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        member = self._members.get(name)
        if member is not None and member.link:
            member = self._members.get(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.link)))
        if member is None or member.link:
            raise _no_file(name)
        self._file.seek(member.at)
        yield io.BufferedReader(_Section(self._file, member.size), _CHUNK)

    def has(self, name: str) -> bool:
        return name in self._members

    def _skip(self, size: int) -> None:
        if self._file.tell() + size > self._end:
            raise entries.Unsound("it ends in the middle of a file")
        self._file.seek(size, io.SEEK_CUR)


class _Section(io.RawIOBase):
    """So many bytes of a file from where it stands, while nobody else reads it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._file.read(min(len(buffer), self._left))
        buffer[: len(chunk)] = chunk
        self._left -= len(chunk)
        return len(chunk)


def _no_file(name: str) -> errors.Refused:
    return errors.Refused(f"the archive has no file {name[:100]!r}", reason="ArchiveDamaged")
