"""What all models share: spelling, strictness, fields that are not built, values of several shapes, metadata."""

from collections.abc import Mapping
from typing import Any, NoReturn

import pydantic
import pydantic_core
from pydantic.alias_generators import to_camel

from agent.kit import frozen
from agent.manifests.v1 import forms

SHAPE = "shape"
"""The type of the error for a value that has none of the shapes that a field takes."""
TEXT, LIST, MAPPING = pydantic.Tag("<text>"), pydantic.Tag("<list>"), pydantic.Tag("<mapping>")
"""Mark the members of a union that ``by_shape`` chooses between."""


class Model(pydantic.BaseModel):
    """A part of a manifest: unknown fields are refused, and no value is bent into another type."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


@frozen.value
class NotBuilt:
    """Marks a field that is planned and not implemented: setting it is a problem that says so."""

    hint: str = "leave it out"
    """What to do instead."""

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.core_schema.CoreSchema:
        """Refuse every value."""
        return pydantic_core.core_schema.no_info_plain_validator_function(self._refuse)

    def __get_pydantic_json_schema__(
        self, _schema: pydantic_core.core_schema.CoreSchema, _handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return a JSON Schema that no value fits."""
        return {"not": {}}

    def _refuse(self, _: object) -> NoReturn:
        raise forms.InvalidField("is not built yet", hint=self.hint)


def by_shape(words: str, *, scalars: bool = False) -> pydantic.Discriminator:
    """Choose a union's member by what a value looks like, so that only that member complains.

    ``words`` say what is taken, as the end of a sentence; ``scalars`` takes numbers, true and false for texts.
    """
    texts = (str, int, float) if scalars else (str,)

    def shape(value: object) -> str | None:
        if isinstance(value, texts):
            return TEXT.tag
        return LIST.tag if isinstance(value, list) else MAPPING.tag if isinstance(value, Mapping) else None

    return pydantic.Discriminator(shape, custom_error_type=SHAPE, custom_error_message=words)


def exactly_one_of(*fields: str) -> pydantic.ConfigDict:
    """Return what says in a model's JSON Schema what its validator checks: one of these fields has to be there."""
    return pydantic.ConfigDict(json_schema_extra={"oneOf": [{"required": [field]} for field in fields]})


class Named(Model):
    """An object's name and annotations."""

    name: forms.Name = pydantic.Field(description="The object's name, unique among its kind: a DNS label.")
    annotations: dict[str, str] = pydantic.Field(
        default_factory=dict, description="Annotations for tools; those of trimtab.dev/ are the agent's own: refused."
    )


class Metadata(Named):
    """An object's name, annotations and labels."""

    labels: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="Labels for people and tools; those of trimtab.dev/ are the agent's own: refused.",
    )
