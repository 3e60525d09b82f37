"""The forms that texts have in a manifest, Kubernetes' syntax for durations and quantities among them.

A refusal's message ends a sentence that begins with the field: ``spec.stop.gracePeriod must be …``.
"""

import ipaddress
import re
from typing import Annotated, Any

import pydantic
import pydantic_core

from agent.kit import frozen, quantities

_NUMBER = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)"
LONGEST_PATH = 4095
LEAST_MEMORY = 6 * 1024**2
"""Bytes: no container starts with less."""
LABEL_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


class InvalidField(ValueError):
    """A field's value that is refused; ``str()`` ends a sentence which begins with the field."""

    def __init__(self, message: str, *, hint: str = "", at: str = "", entry: tuple[str, ...] = ()) -> None:
        """Keep the hint, and in ``at`` the name of the wrong key where a mapping is checked as a whole.

        ``entry``: the keys that lead on from there to the place that is told. Without a hint, the field's explanation
        is the way out.
        """
        super().__init__(message)
        self.hint, self.at, self.entry = hint, at, entry


class TypeMismatch(InvalidField):
    """A value of the wrong type or form: the message shows the value as well."""


@frozen.value
class Form:
    """A text's form: a pattern for programs, and words for people, with an example."""

    pattern: str
    words: str
    longest: int | None = None
    """Characters that the pattern allows: what is longer is told so, and not that its letters are wrong."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.core_schema.CoreSchema:
        """Check the text after its type."""
        return pydantic_core.core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: pydantic_core.core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON Schema with the pattern."""
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, value: str) -> str:
        if self.longest is not None and len(value) > self.longest:
            raise TypeMismatch(f"must have {self.longest} characters at most, and has {len(value)}")
        if not re.fullmatch(self.pattern, value):
            raise TypeMismatch(self.words)
        return value


def seconds(value: object) -> float:
    """Read a duration (``1m30s``, ``500ms``) as seconds. Raises ``TypeMismatch``."""
    try:
        return quantities.seconds(value if isinstance(value, str) else "")
    except ValueError as error:
        raise TypeMismatch(f"must be {error}") from error


def positive(value: float) -> float:
    """Refuse a duration of nothing. Raises ``InvalidField``."""
    if value <= 0:
        raise InvalidField("must be longer than nothing")
    return value


def size(value: object) -> int:
    """Read a quantity of bytes (``128Mi``, ``1G``, a number). Raises ``TypeMismatch``."""
    try:
        return quantities.size(_number_or_text(value))
    except ValueError as error:
        raise TypeMismatch(f"must be {error}") from error


def memory(value: object) -> int:
    """Read a limit of memory. Raises ``TypeMismatch`` for one that no container starts with."""
    total = size(value)
    if total < LEAST_MEMORY:
        raise TypeMismatch("must be 6Mi at least")
    return total


def nonzero_size(value: object) -> int:
    """Read a quantity that is not nothing. Raises ``TypeMismatch``."""
    total = size(value)
    if total == 0:
        raise TypeMismatch("must be more than nothing")
    return total


def millis(value: object) -> int:
    """Read a number of cores (``0.5``, ``500m``, 2) as thousandths. Raises ``TypeMismatch``."""
    total = quantities.thousandths(_number_or_text(value))
    if total is None or not 1 <= total <= 1_000_000:  # noqa: PLR2004 - a thousand cores
        raise TypeMismatch("must be a number of cores like 0.5, 2 or 500m")
    return total


def _number_or_text(value: object) -> str:
    """Return a number as it was written, which is exact, and a text as it is; of anything else, no number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    return str(value)


def scalar_text(value: object) -> object:
    """Return a scalar as its text in the file (``1.10``, ``0x1F``, ``true``), and any other value unchanged."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def normal_path(path: str) -> str:
    """Return an absolute path in its shortest spelling: ``/a//b/./`` is ``/a/b``."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def ipv4_address(value: str) -> str:
    """Check an IPv4 address. Raises ``TypeMismatch``."""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise TypeMismatch("must be an IPv4 address like 10.90.0.1") from error


def _schema(*types: str, pattern: str = "") -> pydantic.WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    if pattern:
        kinds[0]["pattern"] = pattern
    return pydantic.WithJsonSchema(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


_QUANTITY = rf"^{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
_BYTES = _schema("string", "number", pattern=_QUANTITY)

Duration = Annotated[
    float,
    pydantic.BeforeValidator(seconds),
    _schema("string", pattern=r"^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"),
]
Bytes = Annotated[int, pydantic.BeforeValidator(size), _BYTES]
NonzeroBytes = Annotated[int, pydantic.BeforeValidator(nonzero_size), _BYTES]
Memory = Annotated[int, pydantic.BeforeValidator(memory), _BYTES]
Cores = Annotated[int, pydantic.BeforeValidator(millis), _schema("string", "number", pattern=_QUANTITY)]
ScalarText = Annotated[str, pydantic.BeforeValidator(scalar_text), _schema("string", "number", "boolean")]
Name = Annotated[str, Form(f"^{LABEL_NAME}$", "must be a name of small letters, digits and dashes, like web-1", 63)]
SecretKey = Annotated[
    str,
    pydantic.StringConstraints(max_length=253),
    Form(r"^[-._a-zA-Z0-9]+$", "must be a name of letters, digits, dots, dashes and underscores, like password"),
]
Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
Address = Annotated[str, pydantic.AfterValidator(ipv4_address)]
AbsolutePath = Annotated[
    str,
    pydantic.StringConstraints(max_length=LONGEST_PATH),
    Form(r"^/[^\x00]*$", "must be an absolute path, like /srv/data"),
]
