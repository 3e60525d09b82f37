"""Which OCI runtime works on this host: found out by running one container, once a boot.

crun is the leaner one by far (6 ms of CPU a container against 18, measured), but it refuses a host whose cgroup v2
hierarchy is there beside v1 and has controllers of its own, and no version number tells that surely. To such a host's
crun that hierarchy is not shown: its ``create`` runs in a mount namespace without it, which lives as long as the one
command and is copied at that moment, so that nothing the host mounts is missed or kept. Each candidate has to run
``/bin/true`` in a container made of the host's own read-only system folders.
"""

import dataclasses
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pydantic

from agent.engine import errors
from agent.engine.bundle import filter as filters
from agent.engine.bundle import seccomp
from agent.engine.cgroups import hierarchy, tree
from agent.engine.shim import oci_runtime
from agent.kit import atomicfile, processes

_MEMORY = "oci-runtime"
_SYSTEM_FOLDERS = ("/bin", "/lib", "/lib64", "/usr")
_PROGRAM = pydantic.TypeAdapter(oci_runtime.Program)
_WITHOUT = 'umount --lazy "$0" && exec "$@"'


async def find(run: pathlib.Path, cgroup: str) -> oci_runtime.Program:
    """Give the first candidate that works; remembered in ``run`` until it is deleted (a reboot does).

    Raises ``errors.Unavailable`` naming what each one said.
    """
    known = remembered(run)
    if known is not None and known.path.exists():
        return known
    complaints = []
    for name, program in candidates(hierarchy.of_host()):
        complaint = "not installed" if program is None else await _complaint(program, run, _trial(cgroup))
        if program is not None and complaint is None:
            found = dataclasses.replace(program, takes_filter=await _takes_filter(program, run, cgroup))
            remember(run, found)
            return found
        complaints.append(f"{name}: {complaint}")
    raise errors.Unavailable(
        "no OCI runtime works on this host: " + "; ".join(complaints),
        hint="apt-get install crun runc, then see trimtab doctor",
        reason="NoOciRuntime",
    )


def candidates(host: hierarchy.Hierarchy) -> Iterator[tuple[str, oci_runtime.Program | None]]:
    """Give what to try, the best first; ``None`` where it is not installed."""
    crun, runc, unshare = (processes.which(name) for name in ("crun", "runc", "unshare"))
    yield "crun", oci_runtime.Program(crun) if crun else None
    if crun and unshare and host.legacy and host.v2:
        prefix = (str(unshare), "--mount", "--propagation", "slave", "/bin/sh", "-c", _WITHOUT, host.v2)
        yield "crun without cgroup v2", oci_runtime.Program(crun, prefix)
    yield "runc", oci_runtime.Program(runc) if runc else None


def remember(run: pathlib.Path, program: oci_runtime.Program) -> None:
    """Let ``find`` not ask again before the next boot."""
    atomicfile.write(run / _MEMORY, _PROGRAM.dump_json(program), durable=False)


def remembered(run: pathlib.Path) -> oci_runtime.Program | None:
    """Give what ``find`` has found, without trying anything."""
    try:
        return _PROGRAM.validate_json((run / _MEMORY).read_bytes())
    except (FileNotFoundError, pydantic.ValidationError):
        return None


async def _takes_filter(program: oci_runtime.Program, run: pathlib.Path, cgroup: str) -> bool:
    """Find out whether a filter compiled ahead is in force: beside it stands a section by which nothing could run."""
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
    """Run a trial container and give what went wrong; ``None`` where nothing did."""
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
    said = (completed.stderr or completed.stdout).decode(errors="replace").strip()
    return None if completed.returncode == 0 else said or f"exit code {completed.returncode}"


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
