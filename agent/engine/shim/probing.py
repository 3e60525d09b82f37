"""Choice of the OCI runtime that works on this host, by running one container, once a boot.

crun is the leaner one by far (6 ms of CPU a container against 18, measured), but it refuses a host whose cgroup v2
hierarchy is there beside v1 and has controllers of its own, and no version number tells that surely. To such a host's
crun that hierarchy is not shown: its ``create`` runs in a mount namespace without it, which lives as long as the one
command and is copied at that moment, so that nothing the host mounts is missed or kept. Each candidate has to run
``/bin/true`` in a container made of the host's own read-only system folders.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from agent import errors
from agent.engine.bundle import filter as filters
from agent.engine.bundle import seccomp
from agent.engine.cgroups import hierarchy, tree
from agent.engine.shim import oci_runtime
from agent.kit import processes
from agent.reasons import Reason

_SYSTEM_FOLDERS = ("/bin", "/lib", "/lib64", "/usr")
_WITHOUT = 'umount --lazy "$0" && exec "$@"'
_BY_SYSTEM_CALLS = """
my ($unshare, $mount, $umount, $hidden, @program) = @ARGV;
my ($none, $root) = ("none", "/");
syscall($unshare + 0, 0x20000) == 0 or die "unshare: $!\\n";
syscall($mount + 0, $none, $root, 0, 0x84000, 0) == 0 or die "mount: $!\\n";
syscall($umount + 0, $hidden, 2) == 0 or die "umount: $!\\n";
exec { $program[0] } @program or die "$program[0]: $!\\n";
"""
"""The same in one process of perl, which is on every Debian: CLONE_NEWNS, MS_REC|MS_SLAVE, MNT_DETACH. umount(8) reads
the table of all mounts, which takes longer with each container."""
_SYSTEM_CALLS = {"x86_64": (272, 165, 166), "aarch64": (97, 40, 39)}
"""unshare, mount and umount2 by machine (syscalls(2))."""


async def find(run: pathlib.Path, cgroup: str) -> oci_runtime.Program:
    """Return the first candidate that works; remembered in ``run`` until it is deleted (a reboot does).

    Raises ``errors.Unavailable`` naming what each one said.
    """
    cached = oci_runtime.remembered(run)
    if cached is not None and cached.path.exists():
        return cached
    complaints = []
    for name, program in candidates(hierarchy.of_host()):
        complaint = "not installed" if program is None else await _complaint(program, run, _trial(cgroup))
        if program is not None and complaint is None:
            probed = dataclasses.replace(program, takes_filter=await _takes_filter(program, run, cgroup))
            oci_runtime.remember(run, probed)
            return probed
        complaints.append(f"{name}: {complaint}")
    raise errors.Unavailable(
        "no OCI runtime works on this host: " + "; ".join(complaints),
        hint="apt-get install crun runc, then see trimtab doctor",
        reason=Reason.NO_OCI_RUNTIME,
    )


def candidates(host: hierarchy.Hierarchy) -> Iterator[tuple[str, oci_runtime.Program | None]]:
    """Return the candidates, the best first; ``None`` where one is not installed."""
    crun, runc, unshare = (processes.which(name) for name in ("crun", "runc", "unshare"))
    yield "crun", oci_runtime.Program(crun) if crun else None
    if crun and unshare and host.legacy and host.v2:
        yield "crun without cgroup v2", oci_runtime.Program(crun, _hiding(host.v2, unshare))
    yield "runc", oci_runtime.Program(runc) if runc else None


def _hiding(hierarchy_v2: str, unshare: pathlib.Path) -> tuple[str, ...]:
    """Return what runs a program in a mount namespace of its own that lacks one mount."""
    perl, numbers = processes.which("perl"), _SYSTEM_CALLS.get(os.uname().machine)
    if perl is not None and numbers is not None:
        return (str(perl), "-e", _BY_SYSTEM_CALLS, *map(str, numbers), hierarchy_v2)
    return (str(unshare), "--mount", "--propagation", "slave", "/bin/sh", "-c", _WITHOUT, hierarchy_v2)


async def _takes_filter(program: oci_runtime.Program, run: pathlib.Path, cgroup: str) -> bool:
    """Return whether a precompiled filter is enforced: beside it stands a section by which nothing could run."""
    section = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [],
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
    }
    trial = _trial(cgroup)
    trial["process"]["args"] = ["/bin/grep", "-q", "^Seccomp:.*2", "/proc/self/status"]
    trial["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}
    try:
        trial["annotations"] = {seccomp.AHEAD: seccomp.encoded(section)}
    except filters.Uncompilable:
        return False
    return await _complaint(program, run, trial) is None


async def _complaint(program: oci_runtime.Program, run: pathlib.Path, trial: dict[str, Any]) -> str | None:
    """Run a trial container and return what went wrong; ``None`` where nothing did."""
    bundle = pathlib.Path(tempfile.mkdtemp(prefix="probe-", dir=run))
    try:
        (bundle / "rootfs" / "dev").mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(trial))
        words = ("--root", str(bundle / "state"), "run", "--bundle", str(bundle), bundle.name)
        options = processes.Options(env=oci_runtime.environment(), timeout=20.0)
        completed = await processes.run([*program.prefix, program.path, *words], options)
    except processes.ProcessTimeout as error:
        return str(error)
    finally:
        shutil.rmtree(bundle, ignore_errors=True)
        tree.remove_parent(hierarchy.of_host(), str(pathlib.PurePath(trial["linux"]["cgroupsPath"]).parent)[1:])
    output = (completed.stderr or completed.stdout).decode(errors="replace").strip()
    return None if completed.returncode == 0 else output or f"exit code {completed.returncode}"


def _trial(cgroup: str) -> dict[str, Any]:
    folders = [folder for folder in _SYSTEM_FOLDERS if pathlib.Path(folder).is_dir()]
    mounts = [
        {"destination": folder, "type": "bind", "source": folder, "options": ["rbind", "ro"]} for folder in folders
    ]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["/bin/true"], "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, *mounts],
        "linux": {
            "cgroupsPath": f"/{cgroup}/probe",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
        },
    }
