"""RUN's mounts: ``--mount=type=cache,target=/root/.cache``."""

import csv
import dataclasses
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from agent.dockerfile import mistake
from agent.dockerfile.instructions import Mount, MountType, Sharing

Choice = TypeVar("Choice", MountType, Sharing)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_WORDS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_FILE_TYPES = {MountType.SECRET, MountType.SSH, MountType.CACHE}
"""Types whose mode and owner may be set."""
_WRITABLE = {MountType.CACHE, MountType.TMPFS}
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_SWITCHES = {"readonly", "readwrite", "required"}
_ONLY: Mapping[str, set[MountType]] = {
    "required": {MountType.SECRET, MountType.SSH},
    "size": {MountType.TMPFS},
    "sharing": {MountType.CACHE},
    "mode": _FILE_TYPES,
    "uid": _FILE_TYPES,
    "gid": _FILE_TYPES,
    "env": {MountType.SECRET},
    "from": {MountType.BIND, MountType.CACHE},
}
"""Fields that not every type has."""


class BadMount(Exception):
    """A mount cannot be; the message says why, with a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Take what is wrong and the way out."""
        super().__init__(message)
        self.message, self.hint = message, hint


def parse(text: str) -> Mount:
    """Return a mount whose variables are expanded. Raises ``BadMount``."""
    fields = _fields(text)
    kind = _choice(MountType, fields.pop("type", MountType.BIND.value), "mount type")
    changes: dict[str, object] = {"type": kind}
    for name, value in fields.items():
        if name not in _READERS:
            raise BadMount(f"a mount has no field {name}", mistake.suggestion(name, ("type", *_READERS)))
        if kind not in _ONLY.get(name, set(MountType)):
            raise BadMount(f"a {kind} mount has no {name}", f"leave {name} out")
        attribute, read = _READERS[name]
        changes[attribute] = read(name, value)
    changes.setdefault("is_read_only", kind not in _WRITABLE)
    mount = dataclasses.replace(Mount(), **changes)  # type: ignore[arg-type] # each reader returns its field's type
    _check(mount)
    return mount


def origin(text: str) -> str:
    """Return what a mount is taken from, also where its other fields have variables; empty: it names nothing."""
    try:
        return _fields(text).get("from", "")
    except BadMount:
        return ""


def _fields(text: str) -> dict[str, str]:
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise BadMount(f"the mount {text} has quotes that do not match: {error}", "quote a whole field=value") from None
    fields: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = _ALIASES.get(name.lower(), name.lower())
        if not equals and name not in _SWITCHES:
            raise BadMount(f"{word or 'an empty field'} of a mount has no value", "write field=value")
        fields[name] = value if equals else "true"
    return fields


def _check(mount: Mount) -> None:
    if mount.type is MountType.SECRET:
        if not (mount.source or mount.target or mount.id or mount.env):
            raise BadMount("a secret mount needs to say which secret", "add id=NAME")
        if mount.source and mount.id:
            raise BadMount("a secret mount has source and id, which are the same", "remove source")
    elif mount.type is not MountType.SSH and not mount.target:
        raise BadMount(f"a {mount.type} mount needs a target", "add target=/PATH")
    if mount.target and posixpath.normpath(mount.target) in {"/", "//"}:
        raise BadMount(f"a {mount.type} mount cannot be at the root", "choose a folder, as target=/PATH")


def _choice(choices: type[Choice], text: str, what: str) -> Choice:
    try:
        return choices(text.lower())
    except ValueError:
        raise BadMount(f"{text} is no {what}", mistake.suggestion(text, choices)) from None


def _text(_: str, value: str) -> str:
    return value


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _WORDS:
        raise BadMount(f"{name} of a mount is true or false, not {value}", f"write {name} alone, or {name}=false")
    return _WORDS[value.lower()]


def _not_switch(name: str, value: str) -> bool:
    return not _switch(name, value)


def _size(_: str, value: str) -> int:
    match = _SIZE.fullmatch(value)
    if match is None:
        raise BadMount(f"{value} is no size", "write a number of bytes, or as 64m, 1g")
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))


def _number(base: int, hint: str) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        try:
            number = int(value, base) if value.isdecimal() and value.isascii() else -1
        except ValueError:
            number = -1
        if not 0 <= number < 2**32:
            raise BadMount(f"{value or 'nothing'} is no {name}", hint)
        return number

    return read


def _sharing(_: str, value: str) -> Sharing:
    return _choice(Sharing, value, "way of sharing")


_READERS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "source": ("source", _text),
    "target": ("target", _text),
    "from": ("origin", _text),
    "id": ("id", _text),
    "env": ("env", _text),
    "readonly": ("is_read_only", _switch),
    "readwrite": ("is_read_only", _not_switch),
    "required": ("is_required", _switch),
    "sharing": ("sharing", _sharing),
    "size": ("size", _size),
    "mode": ("mode", _number(8, "write it in octal, as 0600")),
    "uid": ("uid", _number(10, "write a number")),
    "gid": ("gid", _number(10, "write a number")),
}
"""Each field's attribute, and what reads its value."""
