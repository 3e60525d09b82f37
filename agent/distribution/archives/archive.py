"""Image archives: OCI layouts (directory or tar) and Docker's ``save`` format, read into the content store.

An archive is untrusted: every blob is verified on its way into the store.
"""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterable

from agent import errors
from agent.distribution.archives import archive_files
from agent.distribution.content import documents, store
from agent.distribution.layers import entries, streams
from agent.kit import canonical, counts, frozen
from agent.oci import descriptor, digest, document, image_config, manifest, mediatypes, platform, reference
from agent.reasons import Reason

_CHUNK = 1024 * 1024
_LARGEST_DOCUMENT = 4 * 1024 * 1024
_MOST_IMAGES = 1000
NAME_ANNOTATION = "io.containerd.image.name"
REF_ANNOTATION = "org.opencontainers.image.ref.name"


@frozen.value
class ArchivedImage:
    """An image of an archive."""

    names: tuple[str, ...]
    """The references that the archive gives it, in their canonical form."""
    data: bytes
    """The image's top document: a manifest or an index."""
    tags: tuple[str, ...] = ()
    """Tags of an image that the archive has no full name for."""


def read(path: pathlib.Path, content: store.ContentStore, name: str = "") -> bytes:
    """Import an archive's image into the content store and return its top document: a manifest or an index.

    Of several images it is the one that the archive knows by ``name``, or by that one's tag. Raises ``errors.NotFound``
    where there is no archive, or nothing for this host in it, ``errors.InvalidArgument`` where it is none or is
    hostile.
    """
    images = _read(path, content)
    if len(images) == 1:
        return images[0].data
    tag = reference.parse(name).tag if name else None
    chosen = [image for image in images if name in image.names] or [image for image in images if tag in image.tags]
    if len(chosen) == 1:
        return chosen[0].data
    names = sorted({name for image in images for name in (*image.names, *image.tags)})
    raise errors.InvalidArgument(
        f"the archive has {len(images)} images, and must have one",
        hint=f"save one image; it has {', '.join(names)[:300]}" if names else "save one image",
        reason=Reason.ARCHIVE_DAMAGED,
    )


def read_all(path: pathlib.Path, content: store.ContentStore) -> list[ArchivedImage]:
    """Import all images of an archive into the content store, each once with all its names. Raises as ``read``."""
    return _read(path, content)


def named(images: list[ArchivedImage]) -> list[ArchivedImage]:
    """Return images that their archive names. Raises ``errors.InvalidArgument`` where it does not name one."""
    if not all(image.names for image in images):
        nameless = sum(not image.names for image in images)
        tagged = "; to load one that has only a tag: --as REPOSITORY:TAG" if any(image.tags for image in images) else ""
        images_in_it, have = counts.counted(len(images), "image"), "has" if nameless == 1 else "have"
        raise errors.InvalidArgument(
            f"{nameless} of {images_in_it} in the archive {have} no name",
            hint="load it under a name: --as REFERENCE" if len(images) == 1 else f"save them by name{tagged}",
            reason=Reason.IMAGE_NAMELESS,
        )
    return images


def _read(path: pathlib.Path, content: store.ContentStore) -> list[ArchivedImage]:
    try:
        with archive_files.opened(path, content) as files:
            if files.has("oci-layout"):
                return _oci(files, content)
            if files.has("manifest.json") and not files.has("version"):
                return _docker(files, content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.NotFound(
            f"there is no archive at {path}", hint="build or copy it there", reason=Reason.ARCHIVE_NOT_FOUND
        ) from error
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}", reason=Reason.HOST_FAILURE) from error
    except (entries.Unsound, document.Malformed) as error:
        raise errors.InvalidArgument(
            f"{path} is no sound image archive: {error}", reason=Reason.ARCHIVE_DAMAGED
        ) from error
    raise errors.InvalidArgument(
        f"{path} is neither an OCI layout nor a docker-archive", hint="see skopeo copy", reason=Reason.ARCHIVE_DAMAGED
    )


def _oci(files: archive_files.Files, content: store.ContentStore) -> list[ArchivedImage]:
    index = manifest.parse(_document(files, "index.json"), mediatypes.INDEX)
    if not isinstance(index, manifest.Index) or not 1 <= len(index.manifests) <= _MOST_IMAGES:
        raise errors.InvalidArgument(
            "the archive names no image", hint="skopeo copy writes one", reason=Reason.ARCHIVE_DAMAGED
        )
    images: dict[str, ArchivedImage] = {}
    for top in _of_this_host(files, index.manifests):
        earlier = images.get(top.digest)
        data = _copy_image(files, content, top) if earlier is None else earlier.data
        names, tags = _oci_names(top)
        if earlier is not None:
            names, tags = (*earlier.names, *names), (*earlier.tags, *tags)
        images[top.digest] = ArchivedImage(tuple(dict.fromkeys(names)), data, tuple(dict.fromkeys(tags)))
    return list(images.values())


def _of_this_host(
    files: archive_files.Files, manifests: tuple[descriptor.Descriptor, ...]
) -> list[descriptor.Descriptor]:
    """Return what the images of an index are for this host: of several platforms under one name, the one that suits.

    Raises ``errors.NotFound`` (``PlatformNotFound``) where none does.
    """
    by_name: dict[tuple[str, ...], dict[str, descriptor.Descriptor]] = {}
    for top in manifests:
        annotations = dict(top.annotations)
        name = (annotations.get(NAME_ANNOTATION, ""), annotations.get(REF_ANNOTATION, ""))
        by_name.setdefault(name, {})[top.digest] = top
    chosen: list[descriptor.Descriptor] = []
    for several in by_name.values():
        images = list(several.values())
        offered = [top.platform or _platform(files, top) for top in images] if len(images) > 1 else [None]
        if len(images) == 1 or None in offered or len(set(offered)) == 1:
            chosen += images
            continue
        number = documents.choose_platform(documents.of_platform(""), offered)
        chosen.append(images[number])
    return chosen


def _platform(files: archive_files.Files, top: descriptor.Descriptor) -> platform.Platform | None:
    """Return what an image is made for, by its config; ``None`` for an index, and for what is not in the archive."""
    if not files.has(_blob(top)):
        return None
    parsed = manifest.parse(_document(files, _blob(top)), top.media_type)
    if not isinstance(parsed, manifest.Manifest) or not files.has(_blob(parsed.config)):
        return None
    made_for = image_config.parse(_document(files, _blob(parsed.config))).platform
    return made_for if made_for.architecture else None


def _oci_names(top: descriptor.Descriptor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return an index's names of an image, and its tags. Docker and containerd say a name whole; others only a tag."""
    annotations = dict(top.annotations)
    name = annotations.get(NAME_ANNOTATION) or annotations.get(REF_ANNOTATION, "")
    if "/" in name or ":" in name:
        return _canonical([name]), ()
    return (), tuple(filter(None, [name]))


def _canonical(names: Iterable[str]) -> tuple[str, ...]:
    """Return canonical names. One with a digest is dropped: it is not verified to be that image's."""
    canonical = []
    for name in names:
        with contextlib.suppress(reference.InvalidReference):
            parsed = reference.parse(name)
            if not parsed.digest:
                canonical.append(str(parsed))
    return tuple(dict.fromkeys(canonical))


def _copy_image(files: archive_files.Files, content: store.ContentStore, top: descriptor.Descriptor) -> bytes:
    """Copy an image, or an index with all images that the archive has; other platforms' may be missing."""
    data = _copy(files, content, top)
    parsed = manifest.parse(data, top.media_type)
    if isinstance(parsed, manifest.Manifest):
        _copy_blobs(files, content, parsed)
        return data
    for child in {child.digest: child for child in parsed.manifests if files.has(_blob(child))}.values():
        inner = manifest.parse(_copy(files, content, child), child.media_type)
        if not isinstance(inner, manifest.Manifest):
            raise errors.InvalidArgument("the archive nests an index in an index", reason=Reason.ARCHIVE_DAMAGED)
        _copy_blobs(files, content, inner)
    return data


def _copy_blobs(files: archive_files.Files, content: store.ContentStore, image: manifest.Manifest) -> None:
    _copy(files, content, image.config)
    for layer in image.layers:
        _copy(files, content, layer, small=False)


def _copy(
    files: archive_files.Files, content: store.ContentStore, blob: descriptor.Descriptor, *, small: bool = True
) -> bytes:
    """Copy a blob; a small one is given back."""
    if small and blob.size > _LARGEST_DOCUMENT:
        raise errors.InvalidArgument(f"{blob.digest} is too large for what it is", reason=Reason.ARCHIVE_DAMAGED)
    if not content.holds(blob):
        with files.open(_blob(blob)) as source, content.ingest(blob) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
    return content.read(blob.digest) if small else b""


def _blob(blob: descriptor.Descriptor) -> str:
    algorithm, encoded = digest.parse(blob.digest)
    return f"blobs/{algorithm}/{encoded}"


def _docker(files: archive_files.Files, content: store.ContentStore) -> list[ArchivedImage]:
    """Turn ``docker save``'s format into manifests: its layers are tars, named by path and not by digest."""
    listed = document.parse(b'{"images":' + _document(files, "manifest.json") + b"}", "manifest.json")
    images = listed.children("images")
    if not 1 <= len(images) <= _MOST_IMAGES:
        raise errors.InvalidArgument(
            f"the archive has {len(images)} images, and must have 1 to {_MOST_IMAGES}",
            hint="save one image",
            reason=Reason.ARCHIVE_DAMAGED,
        )
    layers_by_name: dict[str, descriptor.Descriptor] = {}
    names_by_manifest: dict[bytes, tuple[str, ...]] = {}
    for image in images:
        data = _docker_image(files, content, image, layers_by_name)
        names_by_manifest[data] = tuple(
            dict.fromkeys((*names_by_manifest.get(data, ()), *_canonical(image.texts("RepoTags"))))
        )
    return [ArchivedImage(names, data) for data, names in names_by_manifest.items()]


def _docker_image(
    files: archive_files.Files,
    content: store.ContentStore,
    image: document.Node,
    layers_by_name: dict[str, descriptor.Descriptor],
) -> bytes:
    """Return an image's manifest; ``layers_by_name``: layers that are imported already."""
    config = content.put(mediatypes.CONFIG, _document(files, image.text("Config")))
    names = image.texts("Layers")
    if len(names) > manifest.MOST_LAYERS:
        message = f"the archive's image has more than {manifest.MOST_LAYERS} layers"
        raise errors.InvalidArgument(message, reason=Reason.ARCHIVE_DAMAGED)
    for name in names:
        if name not in layers_by_name:
            layers_by_name[name] = _docker_layer(files, content, name)
    layers = [layers_by_name[name] for name in names]
    fields = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }
    return canonical.dumps(fields)


def _docker_layer(files: archive_files.Files, content: store.ContentStore, name: str) -> descriptor.Descriptor:
    hashed, size, head = hashlib.sha256(), 0, b""
    with files.open(name) as source:
        while chunk := source.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
            head = head or chunk[: streams.HEAD]
    kind = {"gzip": mediatypes.LAYER_GZIP, "zstd": mediatypes.LAYER_ZSTD}.get(streams.packing(head), mediatypes.LAYER)
    blob = descriptor.Descriptor(kind, f"sha256:{hashed.hexdigest()}", size)
    with files.open(name) as source:
        if not content.holds(blob):
            with content.ingest(blob) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    return blob


def _document(files: archive_files.Files, name: str) -> bytes:
    with files.open(name) as file:
        data = file.read(_LARGEST_DOCUMENT + 1)
    if len(data) > _LARGEST_DOCUMENT:
        raise errors.InvalidArgument(f"{name[:100]} in the archive is too large", reason=Reason.ARCHIVE_DAMAGED)
    return data
