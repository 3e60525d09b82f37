"""Images with layers of real files: what the machine has below ``/usr``, in order, up to a number and a size."""

import gzip
import hashlib
import io
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator

_LARGEST = 4 * 1024 * 1024
_PLACES = ("/usr/lib", "/usr/share", "/usr/bin")


def real(path: pathlib.Path, files: int, packed: int) -> None:
    """Write a layer (gzip) of so many real files, filled up by what nothing compresses until it is so many bytes."""
    plain = path.with_suffix(".tar")
    with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as archive:
        for found in itertools.islice(_found(), files - 1):
            archive.add(found, found.as_posix().lstrip("/"), recursive=False)
    _compress(plain, path)
    if path.stat().st_size < packed:
        with tarfile.open(plain, "a") as archive:
            _random(archive, "filler", packed - path.stat().st_size)
        _compress(plain, path)
    plain.unlink()


def variant(path: pathlib.Path, of: pathlib.Path, name: str) -> None:
    """Write the same layer with one more file in front: another digest, so that nobody has it already.

    Pulling one image again and again needs it removed in between, and ext4 is slow for minutes at making files where
    many have just been removed.
    """
    entry = tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)
    with path.open("wb") as out, of.open("rb") as rest:
        out.write(gzip.compress(entry, mtime=0))
        shutil.copyfileobj(rest, out)


def random(path: pathlib.Path, size: int) -> None:
    """Write a layer of one file of so many bytes that nothing compresses."""
    with gzip.open(path, "wb", compresslevel=1) as out, tarfile.open(fileobj=out, mode="w|") as archive:
        _random(archive, "random", size)


def layout(folder: pathlib.Path, layers: list[pathlib.Path]) -> None:
    """Write an OCI layout of an image of these layers, the lowest first."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    told = []
    diff_ids = []
    for layer in layers:
        name, size = _digest(layer)
        if not (blobs / name).exists():
            os.link(layer, blobs / name)
        told.append(
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{name}", "size": size}
        )
        with gzip.open(layer) as plain:
            diff_ids.append(f"sha256:{hashlib.file_digest(plain, 'sha256').hexdigest()}")  # type: ignore[arg-type]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "config": {}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _document(blobs, "application/vnd.oci.image.config.v1+json", config),
        "layers": told,
    }
    top = _document(blobs, manifest["mediaType"], manifest)  # type: ignore[arg-type]
    top["annotations"] = {"org.opencontainers.image.ref.name": "bench"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))


def push(folder: pathlib.Path, reference: str) -> None:
    """Push a layout to a registry on this host."""
    words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
    subprocess.run([*words, f"oci:{folder}:bench", f"docker://{reference}"], check=True, capture_output=True)


def _compress(plain: pathlib.Path, path: pathlib.Path) -> None:
    with path.open("wb") as out:
        subprocess.run(["gzip", "-6", "-n", "-c", plain], check=True, stdout=out)


def _found() -> Iterator[pathlib.Path]:
    for place in _PLACES:
        for folder, names, files in os.walk(place):
            names.sort()
            for name in sorted(files):
                path = pathlib.Path(folder, name)
                if path.is_symlink() or (path.is_file() and path.stat().st_size <= _LARGEST):
                    yield path


def _random(archive: tarfile.TarFile, name: str, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, _Random(size))


class _Random(io.RawIOBase):
    """Bytes that nothing compresses."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        count = self._left if size < 0 else min(size, self._left)
        self._left -= count
        return os.urandom(count)


def _digest(path: pathlib.Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _document(blobs: pathlib.Path, media_type: str, told: object) -> dict[str, object]:
    data = json.dumps(told).encode()
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}
