"""Linux capabilities by name, without ``CAP_``: all of them, Docker's default set, and changes to it."""

from collections.abc import Collection

from agent import errors
from agent.reasons import Reason

BY_NUMBER = (  # linux/capability.h
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""Each at the index of its number."""
DEFAULT = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
EVERY = "ALL"
"""The name that means all capabilities in a manifest."""


def named(text: str) -> str:
    """Return a capability's canonical name: ``cap_net_admin`` is ``NET_ADMIN``."""
    return text.upper().removeprefix("CAP_")


def exists(text: str) -> bool:
    """Return whether a name is a capability's, or ``ALL``."""
    return named(text) in BY_NUMBER or named(text) == EVERY


def effective(added: Collection[str], dropped: Collection[str], bounding: Collection[str]) -> tuple[str, ...]:
    """Return a container's capabilities, sorted: the default ones, less what is dropped, with what is added.

    ``ALL`` dropped and some added means just those; ``ALL`` added means all of ``bounding``, what there is to give.
    Raises ``errors.InvalidArgument`` (``StartFailed``) for one that does not exist.
    """
    unknown = sorted({*added, *dropped} - {*BY_NUMBER, EVERY})
    if unknown:
        message = f"there is no capability {unknown[0]}"
        raise errors.InvalidArgument(message, hint="see capabilities(7)", reason=Reason.START_FAILED)
    base = frozenset(bounding if EVERY in added else DEFAULT)
    remaining = frozenset() if EVERY in dropped else base - frozenset(dropped)
    return tuple(sorted(remaining | (frozenset(added) - {EVERY})))


def of_mask(mask: int) -> frozenset[str]:
    """Return the capabilities of a set as the kernel writes it: a bit for each, at its number."""
    return frozenset(name for number, name in enumerate(BY_NUMBER) if mask >> number & 1)
