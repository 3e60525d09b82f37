"""What all models share: spelling, strictness, and Kubernetes' syntax for quantities, durations and names."""

import dataclasses
import re
from typing import Annotated, Any, NoReturn

import pydantic
import pydantic_core
from pydantic.alias_generators import to_camel

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_FACTORS = {
    **{name: 1024**power for power, name in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi"))},
    **{name: 1000**power for power, name in enumerate(("", "k", "M", "G", "T", "P"))},
}
_CPU = re.compile(r"(\d+)m|(\d+(?:\.\d+)?)")
_LONGEST_DURATION = 10 * 365 * 86400.0
_LARGEST_QUANTITY = 2**60
LABEL_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


class Model(pydantic.BaseModel):
    """A part of a manifest: unknown fields are refused, and no value is bent into another type."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, use_enum_values=False
    )


def seconds(value: object) -> float:
    """Read a duration (``1m30s``, ``500ms``) as seconds. Raises ``ValueError``."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("must be a duration like 500ms, 10s or 1m30s")
    factors = (3600.0, 60.0, 1.0, 0.001)
    total = sum(float(part or 0) * factor for part, factor in zip(match.groups(), factors, strict=True))
    if total > _LONGEST_DURATION:
        raise ValueError("must be a duration of ten years at most")
    return total


def size(value: object) -> int:
    """Read a quantity of bytes (``128Mi``, ``1G``, a number). Raises ``ValueError``."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a quantity of bytes like 64Mi, 1G or 1048576")
    total = int(float(match[1]) * _FACTORS[match[2] or ""])
    if total > _LARGEST_QUANTITY:
        raise ValueError("must be a quantity of 1024Pi at most")
    return total


def millis(value: object) -> int:
    """Read a number of cores (``0.5``, ``500m``, 2) as thousandths. Raises ``ValueError``."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _CPU.fullmatch(text) if isinstance(text, str) else None
    total = 0 if match is None else int(match[1]) if match[1] else round(float(match[2]) * 1000)
    if not 1 <= total <= 1_000_000:  # noqa: PLR2004 - a thousand cores
        raise ValueError("must be a number of cores like 0.5, 2 or 500m")
    return total


@dataclasses.dataclass(frozen=True, slots=True)
class NotBuilt:
    """Marks a field that the design knows and that is not built: set, it is refused and says so."""

    what: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.core_schema.CoreSchema:
        """Refuse every value."""
        del source, handler
        return pydantic_core.core_schema.no_info_plain_validator_function(self._refuse)

    def __get_pydantic_json_schema__(
        self, schema: pydantic_core.core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """No value fits."""
        del schema, handler
        return {"not": {}}

    def _refuse(self, _: object) -> NoReturn:
        raise ValueError(f"{self.what} is not built yet")


def _schema(*types: str, pattern: str = "") -> pydantic.WithJsonSchema:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    if pattern:
        kinds[0]["pattern"] = pattern
    return pydantic.WithJsonSchema(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


Duration = Annotated[
    float,
    pydantic.BeforeValidator(seconds),
    _schema("string", pattern=r"^([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$"),
]
Bytes = Annotated[
    int, pydantic.BeforeValidator(size), _schema("string", "integer", pattern=r"^[0-9.]+([KMGTP]i|[kMGTP])?$")
]
Cores = Annotated[int, pydantic.BeforeValidator(millis), _schema("string", "number", pattern=r"^[0-9]+m$|^[0-9.]+$")]
Name = Annotated[str, pydantic.StringConstraints(pattern=f"^{LABEL_NAME}$")]
Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
AbsolutePath = Annotated[str, pydantic.StringConstraints(pattern=r"^/[^\x00]*$", max_length=4095)]


class Metadata(Model):
    """What an object is called, and what is said about it."""

    name: Name = pydantic.Field(description="The object's name, unique among its kind: a DNS label.")
    labels: dict[str, str] = pydantic.Field(
        default_factory=dict, description="Anything one wants to say; labels of trimtab.dev/ are the agent's own."
    )
    annotations: dict[str, str] = pydantic.Field(
        default_factory=dict, description="Remarks for tools; those of trimtab.dev/ are instructions to the agent."
    )
