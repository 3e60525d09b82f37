"""Who a container runs as: names looked up in the image's own /etc/passwd and /etc/group, read without leaving it."""

import dataclasses
import os
import pathlib
import stat

from agent.engine import errors
from agent.engine.kernel import api

_LARGEST = 1024 * 1024
_FIELDS = 4
_HOME = 5
"""Index of the home directory in a line of passwd(5)."""
_LARGEST_ID = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A resolved user."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones."""
    home: str


def resolve(kernel: api.Kernel, rootfs: pathlib.Path, wanted: str) -> User:
    """Look up ``user[:group]``, names or numbers; empty is root. Raises ``errors.Refused`` for an unknown one."""
    name, _, group = wanted.partition(":")
    passwd = _table(kernel, rootfs, "etc/passwd")
    groups = _table(kernel, rootfs, "etc/group")
    line = _line(passwd, name or "0")
    if line is None and not name.isdecimal() and name:
        raise _missing("user", name)
    uid = _number(line[2] if line else name or "0")
    gid = _number(line[3]) if line else 0
    if group:
        gid = _group(groups, group)
    login = line[0] if line else ""
    supplementary = (
        () if group else tuple(_number(entry[2]) for entry in groups if login and login in entry[3].split(","))
    )
    return User(uid, gid, supplementary, _home(line))


def _home(line: list[str] | None) -> str:
    return line[_HOME] if line is not None and len(line) > _HOME and line[_HOME] else "/"


def _group(groups: list[list[str]], wanted: str) -> int:
    line = _line(groups, wanted)
    if line is not None:
        return _number(line[2])
    if wanted.isdecimal():
        return _number(wanted)
    raise _missing("group", wanted)


def _line(table: list[list[str]], wanted: str) -> list[str] | None:
    """Find a line by name first, then by number, as Docker does."""
    by_name = next((line for line in table if line[0] == wanted), None)
    return by_name or next((line for line in table if line[2] == wanted), None)


def _table(kernel: api.Kernel, rootfs: pathlib.Path, name: str) -> list[list[str]]:
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = kernel.open_in_root(root, name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    finally:
        os.close(root)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        text = os.pread(descriptor, _LARGEST, 0).decode(errors="replace") if regular else ""
    finally:
        os.close(descriptor)
    lines = (line.split(":") for line in text.splitlines() if not line.startswith("#"))
    return [line for line in lines if len(line) >= _FIELDS]


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(_LARGEST_ID)) or int(text) > _LARGEST_ID:
        raise errors.Refused(f"{text[:20]!r} is no user or group id", hint="0 to 2147483647", reason="StartFailed")
    return int(text)


def _missing(what: str, name: str) -> errors.Refused:
    return errors.Refused(
        f"there is no {what} {name[:100]!r} in the image",
        hint=f"use a number, or a {what} of the image's /etc/{'passwd' if what == 'user' else what}",
        reason="StartFailed",
    )
