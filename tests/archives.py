"""Layers and image archives as tests make them, sound ones and hostile ones, and a store to load them into."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import platform
import stat
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import zstandard

from agent.distribution.content import store
from agent.distribution.registry import client
from agent.engine import engine, layout, records
from agent.engine.images import images, signatures
from agent.engine.layers import growing_file
from agent.engine.snapshots import snapshots
from agent.kit import notices
from agent.oci import mediatypes
from agent.oci import platform as platforms

Member = tuple[tarfile.TarInfo, bytes]
THEN = 1_600_000_000
"""Seconds: when all entries were changed last unless they say otherwise."""


def file(name: str, data: bytes = b"", **fields: Any) -> Member:
    """Return a regular file."""
    return _member(name, data, **{"type": tarfile.REGTYPE, "size": len(data), **fields})


def folder(name: str, mode: int = 0o755, **fields: Any) -> Member:
    """Return a directory."""
    return _member(name, type=tarfile.DIRTYPE, mode=mode, **fields)


def symlink(name: str, target: str, **fields: Any) -> Member:
    """Return a symbolic link."""
    return _member(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name: str, target: str) -> Member:
    """Return a hard link."""
    return _member(name, type=tarfile.LNKTYPE, linkname=target)


def device(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE) -> Member:
    """Return a device node."""
    return _member(name, type=kind, devmajor=major, devminor=minor)


def special(name: str, kind: bytes) -> Member:
    """Return an entry of any type without content."""
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
    entry = info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)
    if pax is None:
        return entry
    extension = tarfile.TarInfo("pax")
    extension.type = tarfile.XHDTYPE
    return raw(extension, pax) + entry


def record(key: str, value: bytes) -> bytes:
    """Write one record of a pax header."""
    tail = b" " + key.encode() + b"=" + value + b"\n"
    length = len(tail)
    while length != len(str(length)) + len(tail):
        length = len(str(length)) + len(tail)
    return str(length).encode() + tail


def digest(data: bytes) -> str:
    """Return the sha256 digest."""
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

    def document(self, content: object, media_type: str, **fields: object) -> dict[str, object]:
        """Add a JSON blob and give its descriptor."""
        return self.blob(json.dumps(content).encode(), media_type, **fields)

    def index(self, *manifests: dict[str, object]) -> None:
        """Write the layout's own index."""
        self.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()

    def image(
        self, config: dict[str, object], layers: Iterable[dict[str, object]], **fields: object
    ) -> dict[str, object]:
        """Add a manifest and give its descriptor."""
        manifest = {"schemaVersion": 2, "mediaType": mediatypes.MANIFEST, "config": config, "layers": list(layers)}
        return self.document(manifest, mediatypes.MANIFEST, **fields)

    def archive(self) -> bytes:
        """Return the layout as an OCI archive."""
        return tar(*(file(name, data) for name, data in self.files.items()))

    def directory(self, path: pathlib.Path) -> pathlib.Path:
        """Write the layout to a directory and return its path."""
        for name, data in self.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": functools.partial(gzip.compress, mtime=0),
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
FORMS = ("archive", "directory", "gzip", "zstd", "xz", "bzip2")
"""What an OCI layout comes as: an archive, plain or compressed, or a directory."""


def stored(path: pathlib.Path, layout: Layout, form: str) -> pathlib.Path:
    """Write a layout in one of its forms."""
    if form == "directory":
        return layout.directory(path)
    path.write_bytes(PACKERS[form.replace("archive", "plain")](layout.archive()))
    return path


def config(*layers: bytes, **fields: object) -> bytes:
    """Write the config of an image of these unpacked layers, for this machine."""
    here = platforms.of_machine(platform.machine())
    settings = {"os": here.os, "architecture": here.architecture, "config": {"Cmd": ["/bin/true"]}}
    return json.dumps(
        {**settings, "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}, **fields}
    ).encode()


def packed(layer: bytes, kind: str) -> tuple[bytes, str]:
    """Compress a layer, and give its media type as well."""
    match kind:
        case "gzip":
            return gzip.compress(layer, mtime=0), mediatypes.LAYER_GZIP
        case "zstd" | "xz" | "bzip2":
            return PACKERS[kind](layer), f"{mediatypes.LAYER}+{kind}"
        case _:
            return layer, mediatypes.LAYER


def image(*layers: bytes, kind: str = "plain") -> Layout:
    """Make a layout of one sound image."""
    layout_image = Layout()
    described = [layout_image.blob(*packed(layer, kind)) for layer in layers]
    layout_image.index(layout_image.image(layout_image.blob(config(*layers), mediatypes.CONFIG), described))
    return layout_image


def docker(*layers: bytes, names: list[str] | None = None, **fields: object) -> dict[str, bytes]:
    """Return the files of a docker-archive, as ``docker save`` made them before it knew OCI layouts."""
    names = names or [f"{number}/layer.tar" for number in range(len(layers))]
    manifests = [{"Config": "config.json", "RepoTags": ["test:latest"], "Layers": names, **fields}]
    files = dict(zip(names, layers, strict=True))
    return {**files, "config.json": config(*layers), "manifest.json": json.dumps(manifests).encode()}


def write_archive(path: pathlib.Path, files: dict[str, bytes], *more: Member) -> pathlib.Path:
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
        with tempfile.NamedTemporaryFile(dir=self.where.root, prefix="layer-") as blob:  # others may unpack it as well
            blob.write(layer)
            blob.flush()
            return await unpacked(self.snapshots, pathlib.Path(blob.name), diff_id or digest(layer))

    def leftovers(self) -> list[str]:
        """Name what a failure must not leave: content being written, and directories that no record knows."""
        return [*self.content.unfinished(), *self.snapshots.strangers()]


@contextlib.asynccontextmanager
async def opened(
    home: pathlib.Path, *rules: signatures.Rule, register: notices.Register | None = None
) -> AsyncIterator[Store]:
    """Open a store; whose images must be signed is what rules say, and ``register`` keeps what cannot be removed."""
    where = layout.of(home / "root", home / "run")
    where.prepare()
    with contextlib.closing(records.Database(where.records, engine.SCHEMAS)) as database:
        async with client.RegistryClient() as registry:
            options = engine.Options(verify=signatures.Policy(rules))
            rooms = engine.join_images(where, options, registry, database, register=register)
            yield Store(where, rooms.content, rooms.layers, images.Images(rooms))


async def unpacked(into: snapshots.Snapshots, blob: pathlib.Path, diff_id: str) -> pathlib.Path:
    """Unpack a lowest layer unless it is there, and give its directory."""
    if into.find(diff_id) is None:
        with growing_file.complete(blob) as packed:
            async with into.unpacked(diff_id, packed, blob.stat().st_size) as pending:
                into.keep(diff_id, pending)
    snapshot = into.find(diff_id)
    assert snapshot is not None
    return snapshot


def tree(top: pathlib.Path) -> dict[str, tuple[object, ...]]:
    """Return what can be observed of a directory and everything in it; links are not followed."""
    return {str(path.relative_to(top)): _fingerprint(path) for path in (top, *top.rglob("*"))}


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
    """Return this process's open files, but for those of the records: they are opened when they are first needed."""
    links_open = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers
        with contextlib.suppress(FileNotFoundError):
            links_open[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - may be no path
    return {
        number: path for number, path in links_open.items() if not pathlib.PurePath(path).name.startswith("engine.")
    }


def _fingerprint(path: pathlib.Path) -> tuple[object, ...]:
    status = path.lstat()
    shown: object = status.st_rdev
    if stat.S_ISLNK(status.st_mode):
        shown = str(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        shown = path.read_bytes()
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
    }
    return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink, shown, xattrs)


def _member(name: str, data: bytes = b"", **fields: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.mtime = THEN
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data
