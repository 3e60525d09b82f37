"""The process that reads or writes a container's tree: what it is held up by, or what befalls it, ends with it.

Paths are resolved by openat2(2) with the container's root for ``/``: it never enters the container, so nothing in there
is ever run or loaded by it. The archive is on standard output or input, and a failure is one line of JSON on standard
error. It imports no more than it takes. When whoever started it is gone, so is it.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import resource
import signal
import sys
import tarfile
from typing import Any

from agent import errors
from agent.engine.bundle import destinations
from agent.engine.containers import tree_reader, tree_writer
from agent.engine.kernel import api, linux
from agent.engine.snapshots import overlay

_PR_SET_PDEATHSIG = 1
_MEMORY = 1024**3
"""Bytes of address space."""
_PSEUDO = frozenset(
    {
        *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "configfs"),
        *("bpf", "pstore", "efivarfs", "fusectl", "hugetlbfs", "binfmt_misc", "nsfs", "rpc_pipefs", "nfsd"),
    }
)
"""File systems that the kernel makes up."""
_COVER = "size=4k,mode=0555"


def main() -> None:
    """Run the copying process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(0o022)
    try:
        _copy(json.loads(sys.argv[1]))
    except BrokenPipeError:
        os._exit(0)  # nobody reads any more
    except errors.Failure as error:
        _fail(kind=type(error).__name__, message=error.message, hint=error.hint, reason=error.reason)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        _fail(kind="InvalidArgument", message=f"this is no tar archive: {error}", hint="", reason="InvalidArgument")
    except MemoryError:
        _fail(kind="InvalidArgument", message="this takes too much memory", hint="", reason="InvalidArgument")
    except OSError as error:
        _fail(errno=error.errno or 0, message=error.strerror or str(error))
    os._exit(0)


def _fail(**outcome: object) -> None:
    os.write(2, json.dumps(outcome).encode() + b"\n")
    os._exit(1)


def _copy(request: dict[str, Any]) -> None:
    kernel = linux.LinuxKernel()
    mount = request["mount"]
    root = request["root"] if mount is None else _mounted(kernel, mount)
    tree = tree_reader.Tree(kernel, root, request["what"], _made_up(request["pid"]))
    if request["action"] == "out":
        tree_reader.write_archive(tree, request["path"], sys.stdout.buffer)
    else:
        tree_writer.read_archive(tree, request["path"], sys.stdin.buffer)


def _made_up(pid: int | None) -> frozenset[int]:
    """Return the device numbers of file systems that the kernel makes up, among those of a container that runs."""
    if pid is None:
        return frozenset()
    devices = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines():
            fields, _, kind = line.partition(" - ")
            major, _, minor = fields.split(" ")[2].partition(":")
            if kind.partition(" ")[0] in _PSEUDO:
                devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


def _mounted(kernel: api.Kernel, request: dict[str, Any]) -> int:
    """Mount the tree of a container that does not run where only this process sees it; return its open root."""
    target = pathlib.Path(request["target"])
    layers = [pathlib.Path(path) for path in request["layers"]]
    own = pathlib.Path(request["own"])
    kernel.unshare(api.CLONE_NEWNS)
    kernel.mount("none", "/", "", api.MS_REC | api.MS_PRIVATE, "")
    if request["writable"]:
        overlay.mount(kernel, layers, own, target)
    else:
        overlay.mount_to_read(kernel, layers, own, target)
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for mount in sorted(request["mounts"], key=lambda mount: str(mount["path"])):
        path = destinations.resolve(kernel, target, mount["path"])
        mount_in(kernel, root, {**mount, "path": path}, writable=request["writable"])
    return root


def mount_in(kernel: api.Kernel, root: int, mount: dict[str, Any], *, writable: bool) -> None:
    """Mount a volume in a tree, or cover what is there only while its container runs: nothing is put behind it.

    The place is held by a descriptor: another container with the same volume may exchange a folder of it for a link.
    """
    place = _place(kernel, root, mount["path"], make=writable and bool(mount["source"]))
    if place is None:
        return
    inside, source = f"/proc/self/fd/{place}", mount["source"]
    try:
        if not source:
            kernel.mount("tmpfs", inside, "tmpfs", api.MS_RDONLY, _COVER)
        elif not mount["read_only"]:
            kernel.mount(source, inside, "", api.MS_BIND, "")
        else:  # a mount of what is read-only is so, too, and needs no second look at where it is
            kernel.mount(source, source, "", api.MS_BIND, "")
            kernel.mount("none", source, "", api.MS_BIND | api.MS_REMOUNT | api.MS_RDONLY, "")
            kernel.mount(source, inside, "", api.MS_BIND, "")
            kernel.umount(source, 0)
    finally:
        os.close(place)


def _place(kernel: api.Kernel, root: int, path: str, *, make: bool) -> int | None:
    """Open the folder at a path of a tree; ``make``: and make what is missing of it, as the OCI runtime would."""
    names = [name for name in path.split("/") if name]
    for count in range(len(names) + 1) if make else [len(names)]:
        try:
            folder = kernel.open_in_root(root, "/".join(names[:count]) or ".", os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            if not make:
                return None
            folder = _make_folder(kernel, root, names[:count])
        except NotADirectoryError:
            if make:
                raise
            return None
        if count < len(names):
            os.close(folder)
    return folder


def _make_folder(kernel: api.Kernel, root: int, names: list[str]) -> int:
    """Make a folder in one that exists, and open it."""
    parent = kernel.open_in_root(root, "/".join(names[:-1]) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(names[-1], dir_fd=parent)
        return os.open(names[-1], os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)
