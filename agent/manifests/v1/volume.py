"""Kind Volume."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model


class VolumeSpec(Model):
    """Where the data lives, and what becomes of it."""

    driver: str = Field(default="local", description="Where the data lives. Only local is built: others are refused.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What becomes of the data when the manifest leaves the source."
    )
    options: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")
    size: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")
    seed: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")

    @pydantic.field_validator("driver")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != "local":
            raise forms.Wrong(f"must be local: {value[:50]} is not built yet")
        return value


class Volume(Model):
    """Data that outlives containers."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The version of the manifest's form.")
    kind: Literal["Volume"] = Field(description="Volume.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: VolumeSpec = Field(default_factory=VolumeSpec, description="Where it lives, and what becomes of it.")
