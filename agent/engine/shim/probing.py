"""Which OCI runtime works on this host: found out by running one container, once a boot.

crun is the leaner one, but its releases of late refuse cgroup v1 and hybrid hosts, and no version number tells that
surely. So each candidate has to run ``/bin/true`` in a container made of the host's own read-only system folders.
"""

import json
import pathlib
import shutil
import tempfile

from agent.engine import errors
from agent.engine.cgroups import hierarchy, tree
from agent.engine.shim import oci_runtime
from agent.kit import atomicfile, processes

CANDIDATES = ("crun", "runc")
_MEMORY = "oci-runtime"
_SYSTEM_FOLDERS = ("/bin", "/lib", "/lib64", "/usr")


async def find(run: pathlib.Path, cgroup: str) -> pathlib.Path:
    """Give the first candidate that works; remembered in ``run`` until it is deleted (a reboot does).

    Raises ``errors.Unavailable`` naming what each one said.
    """
    memory = run / _MEMORY
    if memory.exists() and (known := remembered(run)).exists():
        return known
    complaints = []
    for name in CANDIDATES:
        program = processes.which(name)
        complaint = "not installed" if program is None else await _complaint(program, run, cgroup)
        if program is not None and complaint is None:
            atomicfile.write(memory, str(program).encode(), durable=False)
            return program
        complaints.append(f"{name}: {complaint}")
    raise errors.Unavailable(
        "no OCI runtime works on this host: " + "; ".join(complaints),
        hint="apt-get install crun runc, then see trimtab doctor",
        reason="NoOciRuntime",
    )


def remembered(run: pathlib.Path) -> pathlib.Path:
    """Give what ``find`` has found, without trying anything; the least demanding candidate where it was never asked."""
    memory = run / _MEMORY
    return pathlib.Path(memory.read_text() if memory.exists() else CANDIDATES[-1])


async def _complaint(program: pathlib.Path, run: pathlib.Path, cgroup: str) -> str | None:
    """Run the trial container and give what went wrong; ``None`` where nothing did."""
    bundle = pathlib.Path(tempfile.mkdtemp(prefix="probe-", dir=run))
    try:
        (bundle / "rootfs").mkdir()
        (bundle / "config.json").write_text(json.dumps(_trial(cgroup)))
        argv = [str(program), "--root", str(bundle / "state"), "run", "--bundle", str(bundle), f"{cgroup}-probe"]
        completed = await processes.run(argv, processes.Options(env=oci_runtime.environment(), timeout=20.0))
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
