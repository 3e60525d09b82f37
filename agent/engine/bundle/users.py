"""The user of a container: names looked up in the image's own /etc/passwd and /etc/group, read without leaving it.

The rules are Docker's (``moby/sys/user``): what is written as a number is an id and never a name, whatever an image's
tables call themselves; lines that make no sense are no lines.
"""

import os
import pathlib
import re
import stat

from agent import errors
from agent.engine.kernel import api
from agent.kit import frozen
from agent.oci import accounts
from agent.reasons import Reason

_LARGEST_FILE = 1024 * 1024
"""Bytes of a table that are read; later lines are ignored."""
_LARGEST_ID = 2**31 - 1
_NUMBER = re.compile(r"[+-]?[0-9]+")
"""A number as Go's ``Atoi`` reads it: ASCII digits only."""
_DIGITS = 20
"""Digits: more than any id has, so longer numbers are not converted."""


@frozen.value
class User:
    """A resolved user."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones, ``gid`` first: a program that gives up its group must not thereby get past what is closed to
    that group (CVE-2022-36109)."""
    home: str


@frozen.value
class _Account:
    """A line of passwd(5)."""

    name: str
    id: int
    gid: int
    home: str


@frozen.value
class _Group:
    """A line of group(5)."""

    name: str
    id: int
    members: tuple[str, ...]


def resolve(kernel: api.Kernel, rootfs: pathlib.Path, declared: str) -> User:
    """Return the user of ``user[:group]``, names or numbers; empty is root.

    Raises ``errors.InvalidArgument`` for a name that the image does not know, and for an id out of range.
    """
    group = declared.partition(":")[2]
    accounts_of_image = [_read_account(line) for line in _lines(kernel, rootfs, "etc/passwd")]
    account = _account(accounts_of_image, accounts.user_part(declared))
    groups = [entry for line in _lines(kernel, rootfs, "etc/group") if (entry := _read_group(line))]
    gid = _group_id(groups, group) if group else account.gid
    member = not group and account.name
    supplementary = [entry.id for entry in groups if member and member in entry.members and _is_valid(entry.id)]
    return User(account.id, gid, tuple(dict.fromkeys((gid, *supplementary))), account.home or "/")


def _account(accounts: list[_Account | None], declared: str) -> _Account:
    number = _requested_id(declared)
    for account in filter(None, accounts):
        if account.name == declared if number is None else account.id == number:
            _check_id(account.id, str(account.id))
            _check_id(account.gid, str(account.gid))
            return account
    if number is None:
        raise _missing("user", declared)
    return _Account("", number, 0, "")


def _group_id(groups: list[_Group], declared: str) -> int:
    number = _requested_id(declared)
    if number is not None:
        return number
    for group in groups:
        if group.name == declared:
            _check_id(group.id, str(group.id))
            return group.id
    raise _missing("group", declared)


def _requested_id(text: str) -> int | None:
    """Return the id that somebody asks for; ``None`` where it is a name. Raises ``InvalidArgument`` out of range."""
    if not _NUMBER.fullmatch(text):
        return None
    number = _number(text)
    _check_id(number, text)
    return number


def _number(text: str) -> int:
    """Convert digits; a number that is too long for any id is just too large."""
    digits = text.lstrip("+-").lstrip("0")
    number = int(digits or "0") if len(digits) <= _DIGITS else _LARGEST_ID + 1
    return -number if text.startswith("-") else number


def _is_valid(number: int) -> bool:
    return 0 <= number <= _LARGEST_ID


def _check_id(number: int, text: str) -> None:
    if not _is_valid(number):
        raise errors.InvalidArgument(
            f"{text[:20]!r} is no user or group id", hint=f"ids are from 0 to {_LARGEST_ID}", reason=Reason.START_FAILED
        )


def _read_account(line: str) -> _Account | None:
    """Read ``name:password:uid:gid:comment:home:shell``; what is missing behind the ids is empty."""
    name, _, uid, gid, _, home, *_ = (*line.split(":"), *("",) * 6)
    ids_are_numbers = _NUMBER.fullmatch(uid) and _NUMBER.fullmatch(gid)
    return _Account(name, _number(uid), _number(gid), home) if ids_are_numbers else None


def _read_group(line: str) -> _Group | None:
    """Read ``name:password:gid:members``; the last part may be missing with its colon."""
    name, _, gid, members, *_ = (*line.split(":"), *("",) * 4)
    return _Group(name, _number(gid), tuple(members.split(","))) if _NUMBER.fullmatch(gid) else None


def _lines(kernel: api.Kernel, rootfs: pathlib.Path, path: str) -> list[str]:
    """Return the lines of a table, which only a line feed divides, without comments."""
    lines = (line.strip() for line in _text(kernel, rootfs, path).split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _text(kernel: api.Kernel, rootfs: pathlib.Path, path: str) -> str:
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # a running container has procfs, and mounts of hosts that hang, in its tree
        descriptor = kernel.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK, same_mount=True)
    except OSError:
        return ""
    finally:
        os.close(root)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        data = os.pread(descriptor, _LARGEST_FILE + 1, 0) if regular else b""
    finally:
        os.close(descriptor)
    whole = data if len(data) <= _LARGEST_FILE else data[:_LARGEST_FILE].rpartition(b"\n")[0]
    return whole.decode(errors="replace")


def _missing(what: str, name: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"there is no {what} {name[:100]!r} in the image",
        hint=f"use a number, or a {what} of the image's /etc/{'passwd' if what == 'user' else what}",
        reason=Reason.START_FAILED,
    )
