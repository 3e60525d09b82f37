"""Any image archive as the one kind that every engine with the Docker API loads: ``docker save``'s, with one image.

Layers are written as plain tars: older engines do not know all compressions. What is written is read through the
content store first, so every blob in it is verified.
"""

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
from agent.oci import image_config, manifest, platform


def convert(path: pathlib.Path, name: str, out: IO[bytes]) -> None:
    """Write the image of an archive (OCI layout, OCI archive or docker-archive) to ``out``, under a reference.

    Raises what ``archive.read`` raises, and ``errors.NotFound`` (``PlatformNotFound``).
    """
    with tempfile.TemporaryDirectory(prefix="trimtab-archive-") as folder:
        where = layout.of(pathlib.Path(folder, "root"), pathlib.Path(folder, "run"))
        where.prepare()
        content = store.ContentStore(where)
        content.prepare()
        chosen = _chosen(archive.read(path, content), content)
        config = content.read(chosen.config.digest)
        diff_ids = image_config.parse(config).diff_ids
        if len(diff_ids) != len(chosen.layers):
            raise errors.Refused(f"{path}: the config and the manifest differ in the number of layers")
        with tarfile.open(fileobj=out, mode="w") as target:
            names = []
            for diff_id, layer in zip(diff_ids, chosen.layers, strict=True):
                names.append(f"{diff_id.partition(':')[2]}/layer.tar")
                if names.count(names[-1]) == 1:
                    _add_layer(target, names[-1], content.path(layer.digest))
            config_name = f"{chosen.config.digest.partition(':')[2]}.json"
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


def _add_layer(target: tarfile.TarFile, name: str, blob: pathlib.Path) -> None:
    with blob.open("rb") as packed, tempfile.TemporaryFile() as plain:
        bounded = streams.bounded(blob, packed, streams.Limits())
        shutil.copyfileobj(streams.as_file(bounded), plain)
        entry = tarfile.TarInfo(name)
        entry.size = plain.tell()
        plain.seek(0)
        target.addfile(entry, plain)


def _add(target: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    target.addfile(entry, io.BytesIO(data))
