"""Any image archive as the one kind that every engine with the Docker API loads: ``docker save``'s, with one image.

Layers are written as plain tars: older engines do not know all compressions. What is written is read through the
content store first, so every blob in it is verified, and every layer against the config as well.
"""

import errno
import io
import json
import pathlib
import platform as machine
import shutil
import tarfile
import tempfile
from typing import IO

from agent.engine import errors, layout
from agent.engine.content import store
from agent.engine.images import archive
from agent.engine.layers import streams
from agent.oci import document, image_config, manifest, mediatypes, platform


def convert(path: pathlib.Path, name: str, out: IO[bytes], work: pathlib.Path | None = None) -> None:
    """Write the image of an archive (OCI layout, OCI archive or docker-archive) to ``out``, under a reference.

    ``work`` is a directory for what is needed meanwhile, about twice the image; ``None``: the system's own. Raises what
    ``archive.read`` raises, and ``errors.NotFound`` (``PlatformNotFound``).
    """
    try:
        with tempfile.TemporaryDirectory(prefix="trimtab-archive-", dir=work) as folder:
            where = layout.of(pathlib.Path(folder, "root"), pathlib.Path(folder, "run"))
            where.prepare()
            content = store.ContentStore(where)
            content.prepare()
            _write(_chosen(archive.read(path, content), content), content, name, out)
    except document.Malformed as error:
        raise errors.Refused(f"{path} is no sound image archive: {error}", reason="ArchiveDamaged") from error
    except OSError as error:
        reason = "DiskFull" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "HostFailure"
        raise errors.Unavailable(f"{path} cannot be converted: {error.strerror}", reason=reason) from error


def _write(image: manifest.Manifest, content: store.ContentStore, name: str, out: IO[bytes]) -> None:
    config = content.read(image.config.digest)
    diff_ids = image_config.parse(config).diff_ids
    if len(diff_ids) != len(image.layers):
        raise errors.Refused("the config and the manifest differ in the number of layers", reason="ArchiveDamaged")
    strange = [layer.media_type for layer in image.layers if layer.media_type not in mediatypes.LAYERS]
    if strange:
        raise errors.Refused(f"there is no way to read a layer of type {strange[0][:100]!r}", reason="ImageRefused")
    names = [f"{diff_id.partition(':')[2]}/layer.tar" for diff_id in diff_ids]
    with tarfile.open(fileobj=out, mode="w") as target:
        for number, (diff_id, layer) in enumerate(zip(diff_ids, image.layers, strict=True)):
            if diff_id not in diff_ids[:number]:
                _add_layer(target, names[number], content, layer.digest, diff_id)
        config_name = f"{image.config.digest.partition(':')[2]}.json"
        _add(target, config_name, config)
        told = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
        _add(target, "manifest.json", json.dumps(told).encode())


def _chosen(data: bytes, content: store.ContentStore) -> manifest.Manifest:
    """Give the manifest for this host: of an index, the one that it names for it."""
    parsed = manifest.parse(data)
    if isinstance(parsed, manifest.Index):
        wanted = platform.of_machine(machine.machine())
        number = platform.choose(wanted, [child.platform for child in parsed.manifests])
        if number is None:
            raise errors.NotFound(f"the image is not made for {wanted}", reason="PlatformNotFound")
        parsed = manifest.parse(content.read(parsed.manifests[number].digest))
    if not isinstance(parsed, manifest.Manifest):
        raise errors.Refused("an index names another index where an image should be", reason="ImageRefused")
    return parsed


def _add_layer(target: tarfile.TarFile, name: str, content: store.ContentStore, wanted: str, diff_id: str) -> None:
    blob = content.path(wanted)
    with blob.open("rb") as packed, content.scratch() as plain:
        bounded = streams.bounded(blob, packed, streams.Limits())
        shutil.copyfileobj(streams.as_file(bounded), plain)
        if bounded.digest() != diff_id:
            raise errors.Refused(f"layer {wanted} is not the one that the config names", reason="LayerDamaged")
        entry = tarfile.TarInfo(name)
        entry.size = plain.tell()
        plain.seek(0)
        target.addfile(entry, plain)


def _add(target: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    target.addfile(entry, io.BytesIO(data))
