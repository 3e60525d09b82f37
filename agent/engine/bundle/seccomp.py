"""The distribution's seccomp profile, from the form that Docker and Podman share into the runtime specification's.

A profile's entries are conditional on architectures and on capabilities that the container has: what a container may
not do by capability, it may not even ask the kernel for. Debian's profile is Podman's, which allows everybody what
engines inside of rootless containers need, new user namespaces above all. Docker's, which is the default we promise,
wants a capability for it, and so do we.
"""

import base64
import dataclasses
import errno
import functools
import json
import pathlib
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from agent import errors
from agent.engine.bundle import filter as filters
from agent.kit import frozen
from agent.reasons import Reason

AHEAD = "run.oci.seccomp_bpf_data"
"""crun's annotation with a compiled filter, see crun(1)."""
PROFILE = pathlib.Path("/usr/share/containers/seccomp.json")
_X32 = "SCMP_ARCH_X32"
"""An ABI that distributions' kernels have switched off. Its filter would cost each start a sixth of its CPU time, for
programs that do not exist; calls by it are refused with or without it."""
_ARCHITECTURES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}

_RESERVED = {
    "SYS_ADMIN": {
        *("clone", "clone3", "fsconfig", "fsmount", "fsopen", "fspick", "keyctl", "mount", "mount_setattr"),
        *("move_mount", "open_tree", "pivot_root", "setns", "umount", "umount2", "unshare"),
    },
    "SYS_BOOT": {"reboot"},
    "SYS_NICE": {"get_mempolicy", "mbind", "set_mempolicy"},
    "SYS_PTRACE": {"pidfd_getfd"},
    "SYSLOG": {"syslog"},
}
"""System calls that Docker's profile allows with a capability only. ``clone`` without namespaces is for all."""
_NEW_NAMESPACES = 0x7E020000
"""The flags of clone(2) that make namespaces."""
_AF_ALG = 38
_OTHER_DOMAINS = (39, 41, 42, 43, 44, 45)
"""Kinds of sockets (``AF_``) beyond ``AF_ALG`` that Docker's profile allows. Not among them is 40, ``AF_VSOCK``, which
knows no network namespaces and speaks with the hypervisor; ``AF_ALG`` is the kernel's cryptography, a large surface."""
_ALLOW, _REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"


@frozen.value
class Confinement:
    """The seccomp part of a configuration."""

    section: Mapping[str, Any]
    """``linux.seccomp``."""
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


def confined(capabilities: tuple[str, ...], *, ahead: bool) -> Confinement:
    """Confine a container with these capabilities. Raises ``errors.InvalidArgument`` without a profile.

    ``ahead``: the OCI runtime takes a compiled filter, as crun does in an annotation. The section beside it then
    forbids everything, so that a runtime that should not know the annotation after all can start nothing.
    """
    data = _compiled(_profile_version(), capabilities, platform.machine()) if ahead else None
    if data is None:
        return Confinement(filter_for(capabilities))
    return Confinement({"defaultAction": _REFUSE, "syscalls": []}, {AHEAD: data})


def filter_for(capabilities: tuple[str, ...]) -> dict[str, Any]:
    """Return the whole of ``linux.seccomp`` for these capabilities. Raises ``InvalidArgument`` without a profile."""
    return _cached(_profile_version(), capabilities, platform.machine())


def encoded(section: Mapping[str, Any]) -> str:
    """Return a compiled filter as crun's annotation has it. Raises ``filter.Uncompilable``."""
    return base64.b64encode(filters.compiled(section)).decode()


def _profile_version() -> int:
    try:
        return PROFILE.stat().st_mtime_ns
    except FileNotFoundError as error:
        raise errors.InvalidArgument(
            f"the seccomp profile {PROFILE} is missing",
            hint="apt-get install golang-github-containers-common",
            reason=Reason.NO_SECCOMP_PROFILE,
        ) from error


@functools.lru_cache(maxsize=64)
def _cached(_changed: int, capabilities: tuple[str, ...], machine: str) -> dict[str, Any]:
    return translate(json.loads(PROFILE.read_bytes()), frozenset(capabilities), machine)


@functools.lru_cache(maxsize=64)
def _compiled(changed: int, capabilities: tuple[str, ...], machine: str) -> str | None:
    try:
        return encoded(_cached(changed, capabilities, machine))
    except filters.Uncompilable:
        return None


def translate(profile: Mapping[str, Any], capabilities: frozenset[str], machine: str) -> dict[str, Any]:
    """Choose the entries that hold for this container on this machine."""
    go_name, seccomp_name = _ARCHITECTURES.get(machine, ("", ""))
    chosen = [
        _entry(entry)
        for entry in profile.get("syscalls", [])
        if _holds(entry.get("includes") or {}, capabilities, go_name, all_of=True)
        and not _holds(entry.get("excludes") or {}, capabilities, go_name, all_of=False)
    ]
    translated: dict[str, Any] = {
        "defaultAction": profile["defaultAction"],
        "architectures": _architectures(profile.get("archMap") or [], seccomp_name),
        "syscalls": chosen,
    }
    if "defaultErrnoRet" in profile:
        translated["defaultErrnoRet"] = profile["defaultErrnoRet"]
    return {**translated, "syscalls": _with_usual_sockets(_reserved(translated, capabilities, machine))}


def _reserved(profile: Mapping[str, Any], capabilities: frozenset[str], machine: str) -> list[dict[str, Any]]:
    """Return the entries without what is allowed to everybody and needs a capability by Docker's profile."""
    withheld = {name for capability, names in _RESERVED.items() if capability not in capabilities for name in names}
    kept, taken, refused = [], set[str](), set[str]()
    for entry in profile["syscalls"]:
        names = set(entry["names"])
        if entry["action"] == _ALLOW and "args" not in entry:
            taken |= names & withheld
            entry["names"] = [name for name in entry["names"] if name not in withheld]
        elif entry["action"] == _REFUSE:
            refused |= names
        kept += [entry] if entry["names"] else []
    if "clone" in taken:
        flags = {"index": 1 if machine == "s390x" else 0, "value": _NEW_NAMESPACES, "valueTwo": 0}
        kept.append({"names": ["clone"], "action": _ALLOW, "args": [{**flags, "op": "SCMP_CMP_MASKED_EQ"}]})
    answers = (({"clone3"}, errno.ENOSYS), (taken - {"clone", "clone3"}, errno.EPERM))  # libc: clone3, or else clone
    for names, number in answers:
        remaining = sorted((names & taken) - refused)
        if remaining and (profile["defaultAction"], profile.get("defaultErrnoRet", errno.EPERM)) != (_REFUSE, number):
            kept.append({"names": remaining, "action": _REFUSE, "errnoRet": number})
    return kept


def _with_usual_sockets(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with ``socket`` allowed for usual domains only, however they allowed it.

    One comparison an entry: OCI runtimes take two of the same argument for alternatives. ``socketcall``, by which old
    32-bit programs ask for sockets, hides its arguments from every filter.
    """
    allowed = [entry for entry in entries if entry["action"] == _ALLOW and "socket" in entry["names"]]
    others = [
        {**entry, "names": [name for name in entry["names"] if name != "socket"]} if entry in allowed else entry
        for entry in entries
    ]
    domains = [(_AF_ALG, "SCMP_CMP_LT"), *((domain, "SCMP_CMP_EQ") for domain in _OTHER_DOMAINS)]
    usual = [
        {"names": ["socket"], "action": _ALLOW, "args": [{"index": 0, "value": value, "valueTwo": 0, "op": operator}]}
        for value, operator in (domains if allowed else ())
    ]
    return [*(entry for entry in others if entry["names"]), *usual]


def _holds(condition: Mapping[str, Any], capabilities: frozenset[str], machine: str, *, all_of: bool) -> bool:
    """Return whether a condition holds: all parts of an inclusion must (an empty one holds), any of an exclusion."""
    parts = []
    if condition.get("caps"):
        granted = [name.removeprefix("CAP_") in capabilities for name in condition["caps"]]
        parts.append(all(granted) if all_of else any(granted))
    if condition.get("arches"):
        parts.append(machine in condition["arches"])
    return all(parts) if all_of else any(parts)


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = entry.get("names") or [entry["name"]]
    fields: dict[str, Any] = {"names": list(names), "action": entry["action"]}
    if entry.get("args"):
        fields["args"] = [
            {key: argument[key] for key in ("index", "value", "valueTwo", "op") if key in argument}
            for argument in entry["args"]
        ]
    if entry.get("errnoRet") is not None:
        fields["errnoRet"] = entry["errnoRet"]
    return fields


def _architectures(mappings: Iterable[Mapping[str, Any]], machine: str) -> list[str]:
    for entry in mappings:
        if entry.get("architecture") == machine:
            return [machine, *(name for name in entry.get("subArchitectures") or [] if name != _X32)]
    return [machine] if machine else []
