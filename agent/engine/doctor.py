"""What this host lacks, found out by trying, and how to mend it."""

import contextlib
import json
import os
import pathlib
import platform
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator

from agent.engine import layout
from agent.engine.bundle import seccomp
from agent.engine.cgroups import hierarchy
from agent.engine.kernel import api, linux
from agent.engine.shim import probing
from agent.kit import damage, frozen, processes

_MODULES = pathlib.Path("/lib/modules")
_OLDEST = (5, 12)
_ENOUGH_FILES = 4096
_ENOUGH_DISK = 2 * 1024**3


@frozen.value
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    required: bool
    """False: something works less well without it."""
    detail: str
    fix: str = ""


async def examine(where: layout.Layout) -> list[Check]:
    """Try everything. Whatever is made for it is gone afterwards."""
    checks = [*_basics(), *_kernel(), *_cgroups(), *_programs(), *_limits(where), *_records(where)]
    if os.geteuid() == 0:
        checks += [await _oci_runtime(), await _firewall(), await _forwarding()]
    return checks


def examine_root(where: layout.Layout) -> list[Check]:
    """Look at what every runtime needs: git, room on the disk, sound files. Nothing is tried."""
    return [
        *(check for check in _programs() if check.name == "git"),
        *(check for check in _limits(where) if check.name == "disk"),
        *_records(where),
    ]


def _basics() -> Iterator[Check]:
    root = os.geteuid() == 0
    yield Check("root", root, required=True, detail=f"uid {os.geteuid()}", fix="run it with sudo")
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    fix = "use a newer kernel: openat2, pidfds, overlayfs and mount_setattr are needed as they are since 5.12"
    yield Check("kernel", version >= _OLDEST, required=True, detail=release, fix=fix)


_KEPT = ("agent.sqlite", "docker.json", "engine.sqlite", "podman.json")
"""Files of a root that are put aside where they are damaged."""


def _records(where: layout.Layout) -> Iterator[Check]:
    """Return databases that were damaged: they were made again, and whatever has damaged them may do so again."""
    names = [path.name for path in (where.root / name for name in _KEPT) for path in damage.put_aside_before(path)]
    yield Check(
        "records",
        not names,
        required=False,
        detail=f"damaged and made again: {', '.join(names)}" if names else "none was ever found damaged",
        fix=f"look at the disk and its file system; then remove these files from {where.root}",
    )


def _kernel() -> Iterator[Check]:
    if os.geteuid() != 0:
        return
    yield _tried("overlayfs", _overlay, module_fix("overlay", "CONFIG_OVERLAY_FS"))
    yield _tried("network namespaces", _link(None), "use a kernel with CONFIG_NET_NS")
    yield _tried("bridge", _link("bridge"), module_fix("bridge", "CONFIG_BRIDGE"))
    yield _tried("veth", _link("veth"), module_fix("veth", "CONFIG_VETH"))
    yield _tried("macvlan", _link("macvlan"), module_fix("macvlan", "CONFIG_MACVLAN"), required=False)
    yield _tried("ipvlan", _link("ipvlan"), module_fix("ipvlan", "CONFIG_IPVLAN"), required=False)
    yield _tried("SCTP", _sctp, module_fix("sctp", "CONFIG_IP_SCTP"), required=False)
    apparmor = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    on = apparmor.exists() and apparmor.read_text().strip() == "Y"
    detail = "enabled" if on else "off" if apparmor.exists() else "not in this kernel"
    remedy = "boot with apparmor=1" if apparmor.exists() else "use a kernel with CONFIG_SECURITY_APPARMOR"
    yield Check("AppArmor", on, required=False, detail=detail, fix=f"{remedy}: one more wall around containers")
    forwarding = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
    yield Check(
        "ip_forward", forwarding.exists(), required=True, detail="the agent turns it on by itself", fix="mount /proc"
    )


def _cgroups() -> Iterator[Check]:
    host = hierarchy.of_host()
    yield Check(
        "cgroups", bool(host.roots()), required=True, detail=host.mode, fix="mount -t cgroup2 none /sys/fs/cgroup"
    )
    missing = [name for name in hierarchy.CONTROLLERS if not _controlled(host, name)]
    detail = f"without {', '.join(missing)}" if missing else ", ".join(hierarchy.CONTROLLERS)
    fix = "boot with cgroup_enable=memory; delegate the controllers to the agent's unit (Delegate=yes)"
    yield Check("controllers", not missing, required=True, detail=detail, fix=fix)


def _controlled(host: hierarchy.Hierarchy, name: str) -> bool:
    if host.legacy:
        return name in dict(host.v1)
    listed = pathlib.Path(host.v2 or "/nowhere", "cgroup.controllers")
    return listed.exists() and name in listed.read_text().split()


def _programs() -> Iterator[Check]:
    table = (
        ("conmon", "conmon", ("/usr/libexec/podman",), True),
        ("nft", "nftables", (), True),
        ("aardvark-dns", "aardvark-dns", ("/usr/lib/podman", "/usr/libexec/podman"), True),
        ("git", "git", (), False),
        ("cp", "coreutils", (), True),
    )
    for name, package, places, required in table:
        path = processes.which(name, places)
        detail = str(path) if path else "not found"
        yield Check(name, path is not None, required=required, detail=detail, fix=f"apt-get install {package}")
    profile = seccomp.PROFILE
    fix = "apt-get install golang-github-containers-common"
    yield Check("seccomp profile", profile.exists(), required=True, detail=str(profile), fix=fix)


def _limits(where: layout.Layout) -> Iterator[Check]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    fix = "raise the limit for open files (LimitNOFILE= in the unit, ulimit -n in a shell): each container needs two"
    yield Check("open files", files >= _ENOUGH_FILES, required=False, detail=f"{files} at most", fix=fix)
    existing = next(path for path in (where.root, *where.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free // 1024**2} MiB free at {existing}"
    yield Check("disk", free >= _ENOUGH_DISK, required=False, detail=detail, fix="free some space, or move --root")


async def _oci_runtime() -> Check:
    fix = "apt-get install crun runc; crun needs cgroup v2, runc takes all"
    with tempfile.TemporaryDirectory(prefix="trimtab-doctor-") as folder:
        try:
            program = await probing.find(pathlib.Path(folder), f"trimtab-doctor-{os.getpid()}")
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the finding
            return Check("OCI runtime", ok=False, required=True, detail=str(error), fix=fix)
    aided = ", shown the host without its cgroup v2 hierarchy," if program.prefix else ""
    return Check("OCI runtime", ok=True, required=True, detail=f"{program.path}{aided} has run a container", fix=fix)


async def _firewall() -> Check:
    """Make a table with NAT, in a namespace that is gone afterwards."""
    fix = "apt-get install nftables; modprobe nf_tables nft_chain_nat"
    script = (
        "add table inet t; add chain inet t c { type nat hook postrouting priority 100; }; add rule inet t c masquerade"
    )
    nft, unshare = processes.which("nft"), processes.which("unshare")
    if nft is None or unshare is None:
        return Check("nftables NAT", ok=False, required=True, detail="nft or unshare not found", fix=fix)
    completed = await processes.run([str(unshare), "--net", str(nft), script])
    message = completed.stderr.decode(errors="replace").strip()
    return Check("nftables NAT", completed.returncode == 0, required=True, detail=message or "tried and works", fix=fix)


async def _forwarding() -> Check:
    """Find out whether somebody else's firewall, dockerd's most often, drops what containers send: a drop is final."""
    fix = "iptables -I DOCKER-USER -i 'tt+' -j ACCEPT; iptables -I DOCKER-USER -o 'tt+' -j ACCEPT"
    nft = processes.which("nft")
    if nft is None:
        return Check("forwarding", ok=False, required=False, detail="nft not found", fix="apt-get install nftables")
    completed = await processes.run([str(nft), "-j", "list", "chains"])
    dropping = droppers(completed.stdout) if completed.returncode == 0 else []
    detail = f"dropped by {', '.join(dropping)} unless allowed there" if dropping else "nobody else drops packets"
    return Check("forwarding", ok=not dropping, required=False, detail=detail, fix=fix)


def droppers(chains: bytes) -> list[str]:
    """Name the chains, in ``nft -j list chains``, that drop forwarded packets by default."""
    listed = [item["chain"] for item in json.loads(chains).get("nftables", ()) if "chain" in item]
    return [
        f"chain {chain['name']} of table {chain['family']} {chain['table']}"
        for chain in listed
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in {"ip", "inet"}
    ]


def module_fix(module: str, option: str, modules: pathlib.Path = _MODULES) -> str:
    """Return how a kernel gets a module: by loading it, where this kernel has it at all."""
    with contextlib.suppress(OSError):
        if f"/{module}.ko" in (modules / platform.release() / "modules.dep").read_text():
            return f"modprobe {module}"
    return f"use a kernel with {option}: this one has no module {module} to load"


def _tried(name: str, attempt: Callable[[], None], fix: str, *, required: bool = True) -> Check:
    try:
        attempt()
    except OSError as error:
        return Check(name, ok=False, required=required, detail=error.strerror or str(error), fix=fix)
    return Check(name, ok=True, required=required, detail="tried and works", fix=fix)


def _overlay() -> None:
    kernel = linux.LinuxKernel()
    with tempfile.TemporaryDirectory(prefix="trimtab-doctor-", dir="/var/tmp") as folder:
        for name in ("lower", "upper", "work", "merged"):
            pathlib.Path(folder, name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        kernel.mount("overlay", f"{folder}/merged", "overlay", api.MS_NODEV, options)
        kernel.umount(f"{folder}/merged", 0)


def _link(kind: str | None) -> Callable[[], None]:
    """Try a kind of link in a network namespace of its own, by ``ip``: this room has no netlink."""

    def attempt() -> None:
        command = ["unshare", "--net", "ip", "link", "add", "t0", "type", kind or "bridge"]
        if kind in {"macvlan", "ipvlan"}:
            lower = "ip link add b0 type bridge && ip link add x0 link b0 type"
            command = ["unshare", "--net", "sh", "-c", f"{lower} {kind}"]
        if kind is None:
            command = ["unshare", "--net", "true"]
        completed = processes.run_blocking(command, processes.Options(timeout=20))
        if completed.returncode:
            raise OSError(1, completed.stderr.decode(errors="replace").strip() or "refused")

    return attempt


def _sctp() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
