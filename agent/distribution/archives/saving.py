"""Writing of image archives: OCI archives and ``docker save``'s format. The same images always give the same bytes.

Archives are written sequentially, to any sink of bytes; no layer is ever in memory as a whole.
"""

import dataclasses
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from typing import IO

from agent import errors
from agent.distribution.archives import archive
from agent.distribution.content import store
from agent.distribution.layers import streams
from agent.kit import canonical, frozen
from agent.oci import archives, descriptor, digest, document, image_config, manifest, mediatypes, reference
from agent.reasons import Reason

_CHUNK = 1024 * 1024


@frozen.value
class ArchiveEntry:
    """An image that goes into an archive."""

    names: tuple[str, ...]
    """References; of one with a digest only its tag is written, for the digest is that of what it was pulled by."""
    data: bytes
    """The image's manifest."""


def write(
    form: archives.ArchiveFormat, images: Sequence[ArchiveEntry], content: store.ContentStore, out: archives.Sink
) -> None:
    """Write an archive of images, each under all of its names.

    Raises ``errors.NotFound`` for content that is not in the store, ``errors.InvalidArgument`` for what is no sound
    image.
    """
    try:
        with tarfile.open(fileobj=_File(out), mode="w|", bufsize=_CHUNK) as target:
            match form:
                case archives.ArchiveFormat.OCI:
                    _oci(images, content, target)
                case archives.ArchiveFormat.DOCKER:
                    _docker(images, content, target)
    except document.Malformed as error:
        raise errors.InvalidArgument(f"the image cannot be saved: {error}", reason=Reason.IMAGE_REFUSED) from error


def _oci(images: Iterable[ArchiveEntry], content: store.ContentStore, target: tarfile.TarFile) -> None:
    """Write an OCI archive, with the table beside it by which Docker reads archives (``manifest.json``)."""
    entries: list[dict[str, object]] = []
    docker: list[dict[str, object]] = []
    blobs: dict[str, descriptor.Descriptor] = {}
    documents: dict[str, bytes] = {}
    for image in images:
        parsed = _manifest(image.data)
        entry = descriptor.Descriptor(_media_type(image.data), digest.of(image.data), len(image.data))
        names = _tagged(image.names)
        for name in names or (None,):
            annotations = {archive.NAME_ANNOTATION: name, archive.REF_ANNOTATION: name} if name else {}
            named = dataclasses.replace(entry, annotations=tuple(sorted(annotations.items())))
            entries.append(named.document())
        documents[entry.digest] = image.data
        blobs |= {blob.digest: blob for blob in (parsed.config, *parsed.layers)}
        layers = [_path(layer.digest) for layer in parsed.layers]
        docker.append({"Config": _path(parsed.config.digest), "RepoTags": list(names) or None, "Layers": layers})
    _add(target, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": mediatypes.INDEX, "manifests": entries}
    _add(target, "index.json", canonical.dumps(index))
    _add(target, "manifest.json", canonical.dumps(docker))
    for name, data in sorted(documents.items()):
        _add(target, _path(name), data)
    for name, blob in sorted(blobs.items()):
        with _opened(content, name) as file:
            _add_file(target, _path(name), blob.size, file)


def _docker(images: Iterable[ArchiveEntry], content: store.ContentStore, target: tarfile.TarFile) -> None:
    listing: list[dict[str, object]] = []
    added: set[str] = set()
    for image in images:
        parsed = _manifest(image.data)
        config = content.read(parsed.config.digest)
        diff_ids = _diff_ids(config, parsed)
        for diff_id, layer in zip(diff_ids, parsed.layers, strict=True):
            if _layer(diff_id) not in added:
                _add_layer(target, content, layer.digest, diff_id)
                added.add(_layer(diff_id))
        name = f"{parsed.config.digest.partition(':')[2]}.json"
        if name not in added:
            _add(target, name, config)
            added.add(name)
        tags = list(_tagged(image.names)) or None
        listing.append({"Config": name, "RepoTags": tags, "Layers": [_layer(diff_id) for diff_id in diff_ids]})
    _add(target, "manifest.json", json.dumps(listing).encode())


def _manifest(data: bytes) -> manifest.Manifest:
    parsed = manifest.parse(data)
    if not isinstance(parsed, manifest.Manifest):
        raise errors.InvalidArgument(
            "an index names another index where an image should be", reason=Reason.IMAGE_REFUSED
        )
    return parsed


def _diff_ids(config: bytes, image: manifest.Manifest) -> tuple[str, ...]:
    diff_ids = image_config.parse(config).diff_ids
    if len(diff_ids) != len(image.layers):
        raise errors.InvalidArgument(
            "the config and the manifest differ in the number of layers", reason=Reason.ARCHIVE_DAMAGED
        )
    strange = [layer.media_type for layer in image.layers if layer.media_type not in mediatypes.LAYERS]
    if strange:
        raise errors.InvalidArgument(
            f"there is no way to read a layer of type {strange[0][:100]!r}", reason=Reason.IMAGE_REFUSED
        )
    return diff_ids


def _tagged(names: Iterable[str]) -> tuple[str, ...]:
    """Return what names an image in an archive: registry, repository and tag."""
    parsed = map(reference.parse, names)
    kept = [str(dataclasses.replace(name, digest=None)) for name in parsed if name.tag]
    return tuple(dict.fromkeys(kept))


def _media_type(data: bytes) -> str:
    return document.parse(data, "manifest").text("mediaType", default="") or mediatypes.MANIFEST


def _path(blob: str) -> str:
    return f"blobs/{blob.replace(':', '/')}"


def _layer(diff_id: str) -> str:
    return f"{diff_id.partition(':')[2]}/layer.tar"


def _add_layer(target: tarfile.TarFile, content: store.ContentStore, blob: str, diff_id: str) -> None:
    """Add a layer as a plain tar. It is unpacked to the disk first: an archive says a file's size before the file."""
    with _opened(content, blob) as packed, content.scratch() as plain:
        bounded = streams.bounded(content.path(blob), packed, streams.Limits())
        shutil.copyfileobj(streams.as_file(bounded), plain)
        if bounded.digest() != diff_id:
            raise errors.InvalidArgument(
                f"layer {blob} is not the one that the config names", reason=Reason.LAYER_DAMAGED
            )
        size = plain.tell()
        plain.seek(0)
        _add_file(target, _layer(diff_id), size, plain)


def _add(target: tarfile.TarFile, name: str, data: bytes) -> None:
    _add_file(target, name, len(data), io.BytesIO(data))


def _add_file(target: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    target.addfile(entry, file)


def _opened(content: store.ContentStore, blob: str) -> IO[bytes]:
    try:
        return content.path(blob).open("rb")
    except FileNotFoundError as error:
        raise errors.NotFound(f"content {blob} is not in the store", reason=Reason.CONTENT_MISSING) from error


class _File(io.RawIOBase):
    """A minimal file object that ``tarfile`` can write a stream to."""

    def __init__(self, out: archives.Sink) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._out.write(data)
        return len(data)
