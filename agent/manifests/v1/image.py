"""Kind Image."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model


class PullSpec(Model):
    """From a registry."""

    reference: str = Field(description="The image's reference, with a tag or a digest.")
    policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When the registry is asked. Always and Never are not built yet: refused."
    )
    platform: Annotated[
        str,
        forms.Form(r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$", "must be os/arch or os/arch/variant, like linux/arm64"),
    ] = Field(default="", description="os/arch[/variant]; without it, the host's.")

    @pydantic.field_validator("policy")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != "IfNotPresent":
            raise forms.Wrong(f"must be IfNotPresent: {value} is not built yet")
        return value


class ArchiveSpec(Model):
    """From a file or directory."""

    path: Annotated[str, forms.Form(r"^[^\x00]+$", "must be a path, like build/app.tar")] = Field(
        description="An OCI layout, OCI archive or docker-archive; a relative path starts at the manifest."
    )


class ImageSpec(Model):
    """Where the image comes from: exactly one of pull and archive."""

    pull: PullSpec | None = Field(default=None, description="From a registry.")
    archive: ArchiveSpec | None = Field(default=None, description="From a file or directory on the host.")
    build: Annotated[object, base.NotBuilt("build it elsewhere, and name it by pull or archive")] = Field(
        default=None, description="Not built yet: refused."
    )

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> "ImageSpec":
        if sum(source is not None for source in (self.pull, self.archive)) != 1:
            raise forms.Wrong("must have exactly one of pull and archive")
        return self


class ImageMetadata(base.Named):
    """What the image is called, and remarks."""

    labels: Annotated[object, base.NotBuilt("images cannot be labelled: leave it out")] = Field(
        default=None, description="Not built yet: refused."
    )


class Image(Model):
    """An image that the host is to have."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The version of the manifest's form.")
    kind: Literal["Image"] = Field(description="Image.")
    metadata: ImageMetadata = Field(description="Name, annotations.")
    spec: ImageSpec = Field(description="Where it comes from.")
