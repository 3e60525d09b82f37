"""What is compared of built images: the tree with all that its files are, whiteouts, configuration and history."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import stat
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from agent.engine.kernel import api, linux
from agent.engine.snapshots import overlay
from tests import archives
from tests.builds import cases

_RECENT = 1_500_000_000
"""Seconds since the epoch: later times are those of the build. Those of directories are not compared."""
_RUN_FIELDS = ("created", "container", "docker_version", "moby.buildkit.buildinfo.v1", "moby.buildkit.cache.v0")
BASE = "base:1"
"""The image that cases begin with."""


def tree(root: pathlib.Path) -> dict[str, str]:
    """Return every path with a line that says what it is."""
    lines: dict[str, str] = {}
    names: dict[tuple[int, int], str] = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        own = f"/{path.relative_to(root)}" if path != root else "/"
        words = [stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}"]
        if stat.S_ISREG(status.st_mode):
            words.append(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
            first = names.setdefault((status.st_dev, status.st_ino), own)
            words += [f"= {first}"] if first != own else []
        elif stat.S_ISLNK(status.st_mode):
            words.append(f"-> {path.readlink()}")
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            words.append(f"{os.major(status.st_rdev)},{os.minor(status.st_rdev)}")
        if status.st_mtime < _RECENT and stat.S_ISREG(status.st_mode):
            words.append(f"@{int(status.st_mtime)}")
        words += [
            f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}"
            for name in sorted(os.listxattr(path, follow_symlinks=False))
            if not name.startswith("trusted.")
        ]
        lines[own] = " ".join(words)
    return lines


def changes(base: dict[str, str], own: dict[str, str]) -> dict[str, str | None]:
    """Return what a tree has that the base's has not, and ``None`` for what it has no more."""
    removed = dict.fromkeys(path for path in base if path not in own)
    return {path: line for path, line in own.items() if base.get(path) != line} | removed


@contextlib.contextmanager
def mounted(lower: Sequence[pathlib.Path], target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Mount layers, the topmost first, to be looked at."""
    target.mkdir(parents=True)
    kernel = linux.LinuxKernel()
    overlay.mount_to_read(kernel, list(lower), target / "none", target)
    try:
        yield target
    finally:
        kernel.umount(str(target), api.MNT_DETACH)


def configuration(config: bytes) -> dict[str, Any]:
    """Return what a configuration says, but for times and digests."""
    document = json.loads(config)
    history = [
        {name: value for name, value in entry.items() if name not in _RUN_FIELDS} for entry in document["history"]
    ]
    own = {name: value for name, value in document.items() if name not in (*_RUN_FIELDS, "history", "rootfs")}
    return {**own, "history": history, "layers": len(document["rootfs"]["diff_ids"])}


def whiteouts(layers: list[bytes]) -> list[list[str]]:
    """Return the names of each layer (as tar streams) that hide something below."""
    found = []
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            found.append(sorted(name for name in archive.getnames() if pathlib.PurePath(name).name.startswith(".wh.")))
    return found


def base_archive(path: pathlib.Path) -> pathlib.Path:
    """Write the archive of the image that cases begin with: busybox, accounts, some files of each kind."""
    applets = [
        "sh",
        "ls",
        "cat",
        "echo",
        "mkdir",
        "env",
        "id",
        "mv",
        "rm",
        "sleep",
        "touch",
        "ln",
        "chmod",
        "chown",
        "cp",
        "mknod",
        "mkfifo",
        "sed",
        "grep",
        "true",
        "false",
        "find",
        "pwd",
        "test",
    ]
    then = {"mtime": cases.THEN}
    layer = archives.tar(
        *(archives.folder(name, **then) for name in ("bin", "etc", "root", "srv", "srv/full", "real")),
        archives.folder("tmp", mode=0o1777, **then),
        archives.file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755, **then),
        *(archives.symlink(f"bin/{name}", "busybox", **then) for name in applets),
        archives.file(
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n1234:x:77:78::/:/bin/sh\n",
            **then,
        ),
        archives.file("etc/group", b"root:x:0:\napp:x:1001:\nmedia:x:44:app\n", **then),
        archives.file("srv/full/a", b"a", **then),
        archives.file("srv/full/b", b"b", uid=5, gid=6, mode=0o640, **then),
        archives.symlink("srv/link", "/real", **then),
        archives.symlink("srv/dangling", "/nowhere/here", **then),
    )
    config = json.loads(archives.config(layer))
    config["config"] = {
        "Env": ["PATH=/bin", "BASE=of the base"],
        "Cmd": ["sh"],
        "Labels": {"of": "base", "kept": "yes"},
    }
    config["created"] = "2001-09-09T01:46:40Z"
    config["history"] = [{"created": "2001-09-09T01:46:40Z", "created_by": "made by hand"}]
    files = {"layer.tar": layer, "config.json": json.dumps(config).encode()}
    files["manifest.json"] = json.dumps(
        [{"Config": "config.json", "RepoTags": [BASE], "Layers": ["layer.tar"]}]
    ).encode()
    return archives.write_archive(path, files)
