"""The forms that texts have in a manifest, Kubernetes' syntax for durations and quantities among them.

What is refused is told as the end of a sentence that begins with the field: ``spec.stop.gracePeriod must be …``.
"""

import dataclasses
import ipaddress
import re
from typing import Annotated, Any

import pydantic
import pydantic_core

from agent.kit import quantities

_CPU = re.compile(r"(\d{1,9})m|(\d{1,9}(?:\.\d+)?)", re.ASCII)
_LONGEST_PATH = 4095
LEAST_MEMORY = 6 * 1024**2
"""Bytes: no container starts with less."""
LABEL_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


class Wrong(ValueError):
    """What is wrong with a value."""

    def __init__(self, message: str, *, hint: str = "", at: str = "") -> None:
        """Keep the way out, and the field of a mapping (as people write it) that is wrong where only the whole tells.

        Without a hint, the field's explanation is the way out.
        """
        super().__init__(message)
        self.hint, self.at = hint, at


class Unlike(Wrong):
    """A value that does not have the form that is wanted: it is shown beside the message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """A text's form: a pattern for programs, and words for people, with an example."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.core_schema.CoreSchema:
        """Check the text after its type."""
        return pydantic_core.core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: pydantic_core.core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Give programs the pattern."""
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise Unlike(self.words)
        return value


def seconds(value: object) -> float:
    """Read a duration (``1m30s``, ``500ms``) as seconds. Raises ``Unlike``."""
    try:
        return quantities.seconds(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Unlike(f"must be {error}") from error


def positive(value: float) -> float:
    """Refuse a duration of nothing. Raises ``Wrong``."""
    if value <= 0:
        raise Wrong("must be longer than nothing")
    return value


def size(value: object) -> int:
    """Read a quantity of bytes (``128Mi``, ``1G``, a number). Raises ``Unlike``."""
    text = str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        return quantities.size(text if isinstance(text, str) else "")
    except ValueError as error:
        raise Unlike(f"must be {error}") from error


def memory(value: object) -> int:
    """Read a limit of memory. Raises ``Unlike`` for one that no container starts with."""
    total = size(value)
    if total < LEAST_MEMORY:
        raise Unlike("must be 6Mi at least")
    return total


def some(value: object) -> int:
    """Read a quantity that is not nothing. Raises ``Unlike``."""
    total = size(value)
    if total == 0:
        raise Unlike("must be more than nothing")
    return total


def millis(value: object) -> int:
    """Read a number of cores (``0.5``, ``500m``, 2) as thousandths. Raises ``Unlike``."""
    text = str(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _CPU.fullmatch(text) if isinstance(text, str) else None
    total = 0 if match is None else int(match[1]) if match[1] else round(float(match[2]) * 1000)
    if not 1 <= total <= 1_000_000:  # noqa: PLR2004 - a thousand cores
        raise Unlike("must be a number of cores like 0.5, 2 or 500m")
    return total


def written(value: object) -> object:
    """Give a scalar as the text that it was written as (``1.10``, ``0x1F``, ``true``); anything else as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def normal_path(path: str) -> str:
    """Give an absolute path in its shortest spelling: ``/a//b/./`` is ``/a/b``."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def ipv4_address(value: str) -> str:
    """Check an IPv4 address. Raises ``Unlike``."""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise Unlike("must be an IPv4 address like 10.90.0.1") from error


def _schema(*types: str, pattern: str = "") -> pydantic.WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    if pattern:
        kinds[0]["pattern"] = pattern
    return pydantic.WithJsonSchema(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


_BYTES = _schema("string", "integer", pattern=r"^[0-9.]+([KMGTP]i|[kMGTP])?$")

Duration = Annotated[
    float,
    pydantic.BeforeValidator(seconds),
    _schema("string", pattern=r"^([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$"),
]
Bytes = Annotated[int, pydantic.BeforeValidator(size), _BYTES]
SomeBytes = Annotated[int, pydantic.BeforeValidator(some), _BYTES]
Memory = Annotated[int, pydantic.BeforeValidator(memory), _BYTES]
Cores = Annotated[int, pydantic.BeforeValidator(millis), _schema("string", "number", pattern=r"^[0-9]+m$|^[0-9.]+$")]
Written = Annotated[str, pydantic.BeforeValidator(written), _schema("string", "number", "boolean")]
Name = Annotated[str, Form(f"^{LABEL_NAME}$", "must be a name of small letters, digits and dashes, like web-1")]
Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
Address = Annotated[str, pydantic.AfterValidator(ipv4_address)]
AbsolutePath = Annotated[
    str,
    pydantic.StringConstraints(max_length=_LONGEST_PATH),
    Form(r"^/[^\x00]*$", "must be an absolute path, like /srv/data"),
]
