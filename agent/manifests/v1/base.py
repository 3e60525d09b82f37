"""What all models share: spelling, strictness, fields that are not built, values of several shapes, metadata."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

import pydantic
import pydantic_core
from pydantic.alias_generators import to_camel

from agent.manifests.v1 import forms

SHAPE = "shape"
"""The type of the error for a value that has none of the shapes that a field takes."""
TEXT, LIST, MAPPING = pydantic.Tag("<text>"), pydantic.Tag("<list>"), pydantic.Tag("<mapping>")
"""Mark the members of a union that ``by_shape`` chooses between."""


class Model(pydantic.BaseModel):
    """A part of a manifest: unknown fields are refused, and no value is bent into another type."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, use_enum_values=False
    )


@dataclasses.dataclass(frozen=True, slots=True)
class NotBuilt:
    """Marks a field that the design knows and that is not built: set, it is refused and says so."""

    hint: str = "leave it out"
    """The way out."""

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
        raise forms.Wrong("is not built yet", hint=self.hint)


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


class Named(Model):
    """What an object is called, and remarks."""

    name: forms.Name = pydantic.Field(description="The object's name, unique among its kind: a DNS label.")
    annotations: dict[str, str] = pydantic.Field(
        default_factory=dict, description="Remarks for tools; those of trimtab.dev/ are the agent's own: refused."
    )


class Metadata(Named):
    """What an object is called, and what is said about it."""

    labels: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="Anything one wants to say; those of trimtab.dev/ are the agent's own: refused.",
    )
