"""Kind Image."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model
from agent.oci import versions

TAG = "tag"
"""Follow the reference's own tag."""


class UpdateSpec(Model):
    """When another image is taken than the one that is there."""

    track: Annotated[str, pydantic.Field(min_length=1, max_length=128)] = Field(
        default=TAG,
        description="tag: what the reference's tag stands for by now. Or a range of versions, like ^1.2 or >=1.2 <2:"
        " the highest tag in it that is a whole version (1.27.3, v2.0.0).",
    )
    interval: forms.Duration = Field(
        default="5m", description="How often the registry is asked; 1s at least.", validate_default=True
    )

    @pydantic.field_validator("track")
    @classmethod
    def _range(cls, value: str) -> str:
        if value != TAG:
            try:
                versions.parse_range(value)
            except versions.InvalidRange as error:
                raise forms.Wrong(
                    f"must be tag or a range of versions: {error}", hint="write ^1.2 or ~1.27.0"
                ) from error
        return value

    @pydantic.field_validator("interval")
    @classmethod
    def _calm(cls, value: float) -> float:
        if value < 1:
            raise forms.Wrong("must be 1s at least")
        return value


class PullSpec(Model):
    """From a registry."""

    reference: str = Field(description="The image's reference, with a tag or a digest.")
    policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent",
        description="When the registry is asked. Always: by each start of the agent and each apply, also where the"
        " image is there. Never: it has to be there.",
    )
    update: UpdateSpec | None = Field(
        default=None, description="Ask the registry again and again, and take what is newer; without it, never."
    )
    platform: Annotated[
        str,
        forms.Form(r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$", "must be os/arch or os/arch/variant, like linux/arm64"),
    ] = Field(default="", description="os/arch[/variant]; without it, the host's.")

    @pydantic.model_validator(mode="after")
    def _can_move(self) -> "PullSpec":
        asks = self.update is not None
        if asks and self.policy == "Never":
            raise forms.Wrong("must not be with policy Never, which asks no registry", at="update", hint="drop one")
        if (asks or self.policy == "Always") and "@" in self.reference:
            field = "update" if asks else "policy"
            message = "must not ask again for what has a digest: that never moves"
            raise forms.Wrong(message, at=field, hint="name a tag, or leave it out")
        return self


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
