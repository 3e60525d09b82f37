"""Layers and image archives as tests make them, sound ones and hostile ones, and a store to load them into."""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import stat
import tarfile
from collections.abc import AsyncIterator, Iterable
from typing import Any

import zstandard

from agent.engine import engine, layout, records
from agent.engine.content import store
from agent.engine.images import images, signatures
from agent.engine.layers import spool
from agent.engine.registry import client
from agent.engine.snapshots import snapshots
from agent.oci import mediatypes
from agent.oci import platform as platforms

Member = tuple[tarfile.TarInfo, bytes]
THEN = 1_600_000_000
"""Seconds: when all entries were changed last unless they say otherwise."""


def file(name: str, data: bytes = b"", **fields: Any) -> Member:
    """Give a regular file."""
    return _member(name, data, **{"type": tarfile.REGTYPE, "size": len(data), **fields})


def folder(name: str, mode: int = 0o755, **fields: Any) -> Member:
    """Give a directory."""
    return _member(name, type=tarfile.DIRTYPE, mode=mode, **fields)


def symlink(name: str, target: str, **fields: Any) -> Member:
    """Give a symbolic link."""
    return _member(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name: str, target: str) -> Member:
    """Give a hard link."""
    return _member(name, type=tarfile.LNKTYPE, linkname=target)


def device(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE) -> Member:
    """Give a device node."""
    return _member(name, type=kind, devmajor=major, devminor=minor)


def special(name: str, kind: bytes) -> Member:
    """Give an entry of any type without content."""
    return _member(name, type=kind)


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Write a tar stream with its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def raw(info: tarfile.TarInfo, body: bytes = b"", *, size: int | None = None, pax: bytes | None = None) -> bytes:
    """Write one entry without an end, its size and its pax header as they are said, be they lies."""
    info.size = len(body) if size is None else size
    written = info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)
    if pax is None:
        return written
    extension = tarfile.TarInfo("pax")
    extension.type = tarfile.XHDTYPE
    return raw(extension, pax) + written


def record(key: str, value: bytes) -> bytes:
    """Write one record of a pax header."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest)
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def digest(data: bytes) -> str:
    """Give the sha256 digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclasses.dataclass(slots=True)
class Layout:
    """An OCI image layout in memory, by file names; changed by tests that want it wrong."""

    files: dict[str, bytes] = dataclasses.field(
        default_factory=lambda: {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    )

    def blob(self, data: bytes, media_type: str = "", **fields: object) -> dict[str, object]:
        """Add a blob and give its descriptor."""
        self.files[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **fields}

    def document(self, told: object, media_type: str, **fields: object) -> dict[str, object]:
        """Add a JSON blob and give its descriptor."""
        return self.blob(json.dumps(told).encode(), media_type, **fields)

    def index(self, *manifests: dict[str, object]) -> None:
        """Write the layout's own index."""
        self.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()

    def image(
        self, config: dict[str, object], layers: Iterable[dict[str, object]], **fields: object
    ) -> dict[str, object]:
        """Add a manifest and give its descriptor."""
        told = {"schemaVersion": 2, "mediaType": mediatypes.MANIFEST, "config": config, "layers": list(layers)}
        return self.document(told, mediatypes.MANIFEST, **fields)

    def archive(self) -> bytes:
        """Give it as an OCI archive."""
        return tar(*(file(name, data) for name, data in self.files.items()))

    def directory(self, path: pathlib.Path) -> pathlib.Path:
        """Give it as a directory."""
        for name, data in self.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path


FORMS = ("archive", "directory", "gzip", "zstd")
"""What an OCI layout comes as: an archive, plain or compressed, or a directory."""


def stored(path: pathlib.Path, layout: Layout, form: str) -> pathlib.Path:
    """Write a layout in one of its forms."""
    if form == "directory":
        return layout.directory(path)
    compressed = {"archive": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[form]
    path.write_bytes(compressed(layout.archive()))
    return path


def config(*layers: bytes, **fields: object) -> bytes:
    """Write the config of an image of these unpacked layers, for this machine."""
    here = platforms.of_machine(platform.machine())
    told = {"os": here.os, "architecture": here.architecture, "config": {"Cmd": ["/bin/true"]}}
    return json.dumps(
        {**told, "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]}, **fields}
    ).encode()


def packed(layer: bytes, kind: str) -> tuple[bytes, str]:
    """Compress a layer, and give its media type as well."""
    match kind:
        case "gzip":
            return gzip.compress(layer, mtime=0), mediatypes.LAYER_GZIP
        case "zstd":
            return zstandard.compress(layer), mediatypes.LAYER_ZSTD
        case _:
            return layer, mediatypes.LAYER


def image(*layers: bytes, kind: str = "plain") -> Layout:
    """Make a layout of one sound image."""
    made = Layout()
    described = [made.blob(*packed(layer, kind)) for layer in layers]
    made.index(made.image(made.blob(config(*layers), mediatypes.CONFIG), described))
    return made


def docker(*layers: bytes, names: list[str] | None = None, **fields: object) -> dict[str, bytes]:
    """Give the files of a docker-archive, as ``docker save`` made them before it knew OCI layouts."""
    names = names or [f"{number}/layer.tar" for number in range(len(layers))]
    told = [{"Config": "config.json", "RepoTags": ["test:latest"], "Layers": names, **fields}]
    files = dict(zip(names, layers, strict=True))
    return {**files, "config.json": config(*layers), "manifest.json": json.dumps(told).encode()}


def written(path: pathlib.Path, files: dict[str, bytes], *more: Member) -> pathlib.Path:
    """Write an archive of files and other members."""
    path.write_bytes(tar(*(file(name, data) for name, data in files.items()), *more))
    return path


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """The rooms that images live in, over a root of their own."""

    where: layout.Layout
    content: store.ContentStore
    snapshots: snapshots.Snapshots
    images: images.Images

    async def load(self, path: pathlib.Path, name: str = "localhost/test:latest") -> images.StoredImage:
        """Load an archive."""
        return await self.images.load(path, name, (), lambda _: None)

    async def unpacked(self, layer: bytes, diff_id: str = "") -> pathlib.Path:
        """Unpack one layer, and give its directory."""
        blob = self.where.root / "layer"
        blob.write_bytes(layer)
        return await unpacked(self.snapshots, blob, diff_id or digest(layer))

    def half_made(self) -> list[str]:
        """Name what a failure must not leave: content being written, and directories that no record knows."""
        return [*self.content.unfinished(), *self.snapshots.strangers()]


@contextlib.asynccontextmanager
async def opened(home: pathlib.Path, *rules: signatures.Rule) -> AsyncIterator[Store]:
    """Open a store; whose images must be signed is what rules say."""
    where = layout.of(home / "root", home / "run")
    where.prepare()
    with contextlib.closing(records.Database(where.records, engine.SCHEMAS)) as database:
        async with client.RegistryClient() as registry:
            rooms = engine.join_images(where, engine.Options(verify=rules), registry, database)
            yield Store(where, rooms.content, rooms.layers, images.Images(rooms))


async def unpacked(into: snapshots.Snapshots, blob: pathlib.Path, told: str) -> pathlib.Path:
    """Unpack a lowest layer unless it is there, and give its directory."""
    if into.find(told) is None:
        with spool.whole(blob) as packed:
            async with into.unpacked(told, packed, blob.stat().st_size) as made:
                into.keep(told, made)
    found = into.find(told)
    assert found is not None
    return found


def tree(top: pathlib.Path) -> dict[str, tuple[object, ...]]:
    """Give all that can be seen of a directory and everything in it; links are told and not followed."""
    return {str(path.relative_to(top)): _seen(path) for path in (top, *top.rglob("*"))}


def deep(top: pathlib.Path, levels: int) -> None:
    """Make directories in each other, deeper than any path can say, with something in each."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def descriptors() -> dict[str, str]:
    """Give this process's open files."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - may be no path
    return found


def _seen(path: pathlib.Path) -> tuple[object, ...]:
    found = path.lstat()
    shown: object = found.st_rdev
    if stat.S_ISLNK(found.st_mode):
        shown = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        shown = path.read_bytes()
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
    }
    return (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_nlink, shown, xattrs)


def _member(name: str, data: bytes = b"", **fields: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.mtime = THEN
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data
