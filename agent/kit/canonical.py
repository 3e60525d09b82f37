"""One byte string for one value: canonical JSON of frozen dataclasses, and hashes over it."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any


def plain(value: object) -> Any:  # noqa: ANN401 - JSON's own shape
    """Turn dataclasses, enums, tuples and mappings into what ``json`` knows."""
    match value:
        case enum.Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case frozenset() | set():
            return sorted(plain(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    message = f"no canonical form for {type(value).__name__}"
    raise TypeError(message)


def dumps(value: object) -> bytes:
    """Give the canonical JSON: sorted keys, no white space, UTF-8."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(dumps(value)).hexdigest()
