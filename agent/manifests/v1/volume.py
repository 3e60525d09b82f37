"""Kind Volume."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model


class VolumeSpec(Model):
    """The volume's driver and deletion policy."""

    driver: str = Field(default="local", description="The volume's driver. Only local is built: others are refused.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="Whether the data is kept or deleted when the manifest leaves the source."
    )
    options: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")
    size: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")
    seed: Annotated[object, base.NotBuilt()] = Field(default=None, description="Not built yet: refused.")

    @pydantic.field_validator("driver")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != "local":
            raise forms.InvalidField(f"must be local: {value[:50]} is not built yet")
        return value


class Volume(Model):
    """Data that outlives containers."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Volume"] = Field(description="Volume.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: VolumeSpec = Field(default_factory=VolumeSpec, description="The volume's configuration.")
