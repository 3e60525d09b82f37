"""Which OCI runtime works on this host: found out by running one container, once a boot.

crun is the leaner one by far (6 ms of CPU a container against 18, measured), but it refuses a host whose cgroup v2
hierarchy is there beside v1 and has controllers of its own, and no version number tells that surely. To such a host's
crun that hierarchy is not shown: its ``create`` runs in a mount namespace without it, which lives as long as the one
command and is copied at that moment, so that nothing the host mounts is missed or kept. Each candidate has to run
``/bin/true`` in a container made of the host's own read-only system folders.
"""

import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from agent.engine import errors
from agent.engine.cgroups import hierarchy, tree
from agent.engine.shim import oci_runtime
from agent.kit import atomicfile, processes

_MEMORY = "oci-runtime"
_SYSTEM_FOLDERS = ("/bin", "/lib", "/lib64", "/usr")
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
        complaint = "not installed" if program is None else await _complaint(program, run, cgroup)
        if program is not None and complaint is None:
            remember(run, program)
            return program
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
    if crun and unshare and host.v1 and host.v2:
        prefix = (str(unshare), "--mount", "--propagation", "slave", "/bin/sh", "-c", _WITHOUT, host.v2)
        yield "crun without cgroup v2", oci_runtime.Program(crun, prefix)
    yield "runc", oci_runtime.Program(runc) if runc else None


def remember(run: pathlib.Path, program: oci_runtime.Program) -> None:
    """Let ``find`` not ask again before the next boot."""
    words = [*program.prefix, str(program.path)]
    atomicfile.write(run / _MEMORY, json.dumps(words).encode(), durable=False)


def remembered(run: pathlib.Path) -> oci_runtime.Program | None:
    """Give what ``find`` has found, without trying anything."""
    memory = run / _MEMORY
    if not memory.exists():
        return None
    *prefix, path = json.loads(memory.read_text())
    return oci_runtime.Program(pathlib.Path(path), tuple(prefix))


async def _complaint(program: oci_runtime.Program, run: pathlib.Path, cgroup: str) -> str | None:
    """Run the trial container and give what went wrong; ``None`` where nothing did."""
    bundle = pathlib.Path(tempfile.mkdtemp(prefix="probe-", dir=run))
    try:
        (bundle / "rootfs" / "dev").mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(_trial(cgroup)))
        words = ("--root", str(bundle / "state"), "run", "--bundle", str(bundle), f"{cgroup}-probe")
        options = processes.Options(env=oci_runtime.environment(), timeout=20.0)
        completed = await processes.run([*program.prefix, program.path, *words], options)
    except processes.ProcessTimeout as error:
        return str(error)
    finally:
        shutil.rmtree(bundle, ignore_errors=True)
        tree.remove_parent(hierarchy.of_host(), cgroup)
    said = (completed.stderr or completed.stdout).decode(errors="replace").strip()
    return None if completed.returncode == 0 else said or f"exit code {completed.returncode}"


def _trial(cgroup: str) -> dict[str, object]:
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
