"""A seccomp filter compiled ahead: libseccomp's work, done once for a set of capabilities and not at every start.

An OCI runtime compiles the same profile anew for each container, which is the largest part of its CPU time (7 ms of 14
with crun, measured). libseccomp is there wherever crun is. Source: seccomp_init(3) and its siblings.
"""

import ctypes
import functools
import os
from collections.abc import Mapping
from typing import Any

_LIBRARY = "libseccomp.so.2"
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_ERRNO = 0x00050000
_EPERM = 1
_OPERATORS = {name: number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)}
_UNKNOWN = -1


class Uncompilable(Exception):
    """libseccomp is not there, or does not know what a profile says."""


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def compiled(profile: Mapping[str, Any]) -> bytes:
    """Return ``linux.seccomp`` of the runtime specification as a BPF program. Raises ``Uncompilable``."""
    library = _library()
    context = library.seccomp_init(_action(profile["defaultAction"], profile.get("defaultErrnoRet")))
    if not context:
        raise Uncompilable("libseccomp gives no filter")
    try:
        _architectures(library, context, profile["architectures"])
        for entry in profile["syscalls"]:
            _rule(library, context, entry)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _architectures(library: ctypes.CDLL, context: int, names: list[str]) -> None:
    for name in names:
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if not token:
            raise Uncompilable(f"libseccomp does not know {name}")
        if library.seccomp_arch_exist(context, token):
            _check(library.seccomp_arch_add(context, token), name)


def _rule(library: ctypes.CDLL, context: int, entry: Mapping[str, Any]) -> None:
    action = _action(entry["action"], entry.get("errnoRet"))
    arguments = [
        _Comparison(
            argument["index"],
            _OPERATORS[argument["op"].removeprefix("SCMP_CMP_")],
            argument["value"],
            argument.get("valueTwo", 0),
        )
        for argument in entry.get("args", ())
    ]
    table = (_Comparison * len(arguments))(*arguments)
    for name in entry["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN:  # newer than this libseccomp: refused by the default, as OCI runtimes do it too
            _check(library.seccomp_rule_add_array(context, action, number, len(arguments), table), name)


def _exported(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("trimtab-seccomp", os.MFD_CLOEXEC)
    try:
        _check(library.seccomp_export_bpf(context, descriptor), "the filter")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _action(name: str, errno: int | None) -> int:
    if name not in _ACTIONS:
        raise Uncompilable(f"the action {name} has no filter ahead of time")
    action = _ACTIONS[name]
    return action | (_EPERM if errno is None else errno) if action == _ERRNO else action


def _check(result: int, what: str) -> None:
    if result < 0:
        raise Uncompilable(f"libseccomp refuses {what}: {os.strerror(-result)}")


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise Uncompilable(f"{_LIBRARY} is not installed") from error
    pointer, number = ctypes.c_void_p, ctypes.c_uint32
    library.seccomp_init.restype, library.seccomp_init.argtypes = pointer, (number,)
    library.seccomp_release.argtypes = (pointer,)
    library.seccomp_arch_resolve_name.restype = number
    library.seccomp_arch_exist.argtypes = library.seccomp_arch_add.argtypes = (pointer, number)
    library.seccomp_rule_add_array.argtypes = (pointer, number, ctypes.c_int, ctypes.c_uint, pointer)
    library.seccomp_export_bpf.argtypes = (pointer, ctypes.c_int)
    return library
