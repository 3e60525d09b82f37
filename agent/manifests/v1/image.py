"""Kind Image."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.dockerfile import caches, parse
from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model
from agent.oci import reference, versions

TAG = "tag"
"""Follow the reference's own tag."""


class UpdateSpec(Model):
    """When the registry's image replaces the present one."""

    track: Annotated[str, pydantic.Field(min_length=1, max_length=128)] = Field(
        default=TAG,
        description="tag: the image that the reference's tag names now. Or a range of versions, like ^1.2 or >=1.2 <2:"
        " the highest tag in it that is a whole version (1.27.3, v2.0.0).",
    )
    interval: forms.Duration = Field(
        default="5m", description="How often the registry is queried; 1s at least.", validate_default=True
    )

    @pydantic.field_validator("track")
    @classmethod
    def _range(cls, value: str) -> str:
        if value != TAG:
            try:
                versions.parse_range(value)
            except versions.InvalidRange as error:
                raise forms.InvalidField(
                    f"must be tag or a range of versions: {error}", hint="write ^1.2 or ~1.27.0"
                ) from error
        return value

    @pydantic.field_validator("interval")
    @classmethod
    def _calm(cls, value: float) -> float:
        if value < 1:
            raise forms.InvalidField("must be 1s at least")
        return value


class PullSpec(Model):
    """An image from a registry."""

    reference: str = Field(description="The image's reference, with a tag or a digest.")
    policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent",
        description="When the registry is asked. Always: by each start of the agent and each apply, also where the"
        " image is there. Never: it has to be there.",
    )
    update: UpdateSpec | None = Field(
        default=None, description="Query the registry at intervals, and use newer images; without it, never."
    )
    platform: Annotated[
        str,
        forms.Form(r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$", "must be os/arch or os/arch/variant, like linux/arm64"),
    ] = Field(default="", description="os/arch[/variant]; without it, the host's.")

    @pydantic.model_validator(mode="after")
    def _can_move(self) -> "PullSpec":
        asks = self.update is not None
        if asks and self.policy == "Never":
            raise forms.InvalidField(
                "must not be with policy Never, which asks no registry", at="update", hint="drop one"
            )
        if (asks or self.policy == "Always") and "@" in self.reference:
            field = "update" if asks else "policy"
            message = "must not ask again for what has a digest: that never moves"
            raise forms.InvalidField(message, at=field, hint="name a tag, or leave it out")
        return self


class ArchiveSpec(Model):
    """An image from an archive or an image layout."""

    path: Annotated[str, forms.Form(r"^[^\x00]+$", "must be a path, like build/app.tar")] = Field(
        description="An OCI layout, OCI archive or docker-archive; a relative path starts at the manifest."
    )


class BuildSpec(Model):
    """An image that is built from a Dockerfile, again whenever its files change."""

    context: Annotated[str, forms.Form(r"^[^\x00]+$", "must be a directory, like ./app")] = Field(
        default=".", description="The directory that files are taken from; a relative path starts at the manifest."
    )
    dockerfile: Annotated[str, forms.Form(r"^[^\x00]+$", "must be a path, like Dockerfile")] = Field(
        default="Dockerfile", description="The Dockerfile; a relative path starts at the context."
    )
    dockerfile_inline: str = Field(default="", description="The Dockerfile's text, instead of a file.")
    target: str = Field(default="", description="The stage to build; without it, the last one.")
    args: dict[Annotated[str, forms.Form(r"^[A-Za-z_][A-Za-z0-9_]*$", "must be a name, like VERSION")], str] = Field(
        default_factory=dict,
        description="Values of the Dockerfile's ARGs. They are no secrets: the image's history"
        " shows them. SOURCE_DATE_EPOCH makes builds reproducible.",
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the image.")
    platform: Annotated[
        str,
        forms.Form(r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$", "must be os/arch or os/arch/variant, like linux/arm64"),
    ] = Field(default="", description="os/arch[/variant]; without it, the host's.")
    network: Literal["default", "none", "host"] = Field(
        default="default", description="The network of RUN, where the Dockerfile names none."
    )
    pull: bool = Field(default=False, description="Ask the registries for the base images again by each build.")
    secrets: Annotated[object, base.NotBuilt("build it by trimtab build --secret")] = Field(
        default=None, description="Not built yet: refused."
    )
    ssh: Annotated[object, base.NotBuilt("build it by trimtab build --ssh")] = Field(
        default=None, description="Not built yet: refused."
    )
    additional_contexts: Annotated[object, base.NotBuilt("build it by trimtab build --build-context")] = Field(
        default=None, description="Not built yet: refused."
    )
    cache_from: list[str] = Field(
        default_factory=list,
        description="Caches in registries to take steps from: REFERENCE, or type=registry,ref=REFERENCE.",
    )
    cache_to: list[str] = Field(
        default_factory=list,
        description="Caches in registries to keep the steps in; type=registry,ref=REFERENCE,mode=max: of every stage.",
    )

    @pydantic.model_validator(mode="after")
    def _one_dockerfile(self) -> "BuildSpec":
        if self.dockerfile_inline and "dockerfile" in self.model_fields_set:
            raise forms.InvalidField("must not be beside dockerfileInline", at="dockerfile", hint="drop one")
        return self

    @pydantic.field_validator("context")
    @classmethod
    def _directory(cls, value: str) -> str:
        if "://" in value:
            raise forms.InvalidField(
                "must be a directory on the host, not a URL", hint="build it by trimtab build URL, or clone it"
            )
        return value

    @pydantic.field_validator("cache_from", "cache_to")
    @classmethod
    def _caches(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                reference.parse(caches.target(text).reference)
            except ValueError as error:
                raise forms.InvalidField(f"must name caches: {error}") from error
        return value

    @pydantic.field_validator("dockerfile_inline")
    @classmethod
    def _sound(cls, value: str) -> str:
        wrong = parse.parse(value.encode("utf-8", "surrogateescape")).mistakes if value else ()
        if wrong:
            raise forms.InvalidField(
                f"has a mistake in its line {wrong[0].position[0]}: {wrong[0].message}", hint=wrong[0].hint
            )
        return value


class ImageSpec(Model):
    """Where the image comes from: exactly one of pull, archive and build."""

    model_config = base.exactly_one_of("pull", "archive", "build")

    pull: PullSpec | None = Field(default=None, description="From a registry.")
    archive: ArchiveSpec | None = Field(default=None, description="From a file or directory on the host.")
    build: BuildSpec | None = Field(default=None, description="From a Dockerfile on the host.")

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> "ImageSpec":
        if [self.pull, self.archive, self.build].count(None) != 2:  # noqa: PLR2004 - all but one
            raise forms.InvalidField("must have exactly one of pull, archive and build")
        return self


class ImageMetadata(base.Named):
    """The image's name and annotations."""

    labels: Annotated[object, base.NotBuilt("images cannot be labelled: leave it out")] = Field(
        default=None, description="Not built yet: refused."
    )


class Image(Model):
    """An image to keep in the host's store."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Image"] = Field(description="Image.")
    metadata: ImageMetadata = Field(description="Name, annotations.")
    spec: ImageSpec = Field(description="The image's source.")
