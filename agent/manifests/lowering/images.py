"""Images: declared ones, and those that only containers name."""

from collections.abc import Iterator

from agent.manifests import inputs, registry
from agent.manifests.lowering import draft
from agent.manifests.v1 import image as v1_image
from agent.model import image
from agent.model.key import pairs
from agent.oci import reference

_PULLED = image.PullSource("")


def lower(manifest: registry.Manifest, declared: v1_image.Image, sketch: draft.Draft) -> None:
    """Add an Image, and how it goes with its registry."""
    lowered = _image(declared, _local_source(manifest, declared, sketch), sketch.registry)
    sketch.images[lowered.name] = lowered
    sketch.follows += _follows(declared, lowered)


def add_implicit(sketch: draft.Draft) -> None:
    """Add the images that only containers name: each is pulled, under its reference as its name."""
    declared = {image.reference for image in sketch.images.values()}
    implicit = {container.image for container in sketch.containers} - declared
    sketch.images |= {name: image.ImageConfig(name, name, _PULLED) for name in implicit}


def _local_source(
    manifest: registry.Manifest, declared: v1_image.Image, sketch: draft.Draft
) -> image.ArchiveSource | image.BuildSource | None:
    """Return what on this host an image comes from; ``None``: it comes from a registry."""
    spec = declared.spec.build
    files = inputs.build(manifest, sketch.inputs)
    if spec is None or files is None:
        return inputs.archive(manifest, sketch.inputs)
    external, state = files
    return image.BuildSource(
        context=external.path,
        dockerfile=external.dockerfile,
        stamp=state.fingerprint,
        inline=spec.dockerfile_inline,
        target=spec.target,
        platform=spec.platform,
        args=pairs(spec.args),
        labels=pairs(spec.labels),
        network=image.BuildNetwork(spec.network),
        pulls=spec.pull,
        cache_from=tuple(spec.cache_from),
        cache_to=tuple(spec.cache_to),
        problem=state.problem,
    )


def _image(
    manifest: v1_image.Image, local: image.ArchiveSource | image.BuildSource | None, default_registry: str
) -> image.ImageConfig:
    name, spec = manifest.metadata.name, manifest.spec
    if local is not None:
        return image.ImageConfig(name, f"localhost/{name}:latest", local)
    pull = spec.pull or v1_image.PullSpec(reference="")
    return image.ImageConfig(
        name, str(reference.parse(pull.reference, default_registry)), image.PullSource(pull.platform)
    )


def _follows(manifest: v1_image.Image, lowered: image.ImageConfig) -> Iterator[image.UpdatePolicy]:
    pull = manifest.spec.pull
    policy = image.PullPolicy(pull.policy if pull else image.PullPolicy.IF_NOT_PRESENT)
    if pull is None or (pull.update is None and policy is image.PullPolicy.IF_NOT_PRESENT):
        return
    track = pull.update.track if pull.update and pull.update.track != v1_image.TAG else ""
    yield image.UpdatePolicy(
        lowered.name, lowered.reference, policy, track, pull.update.interval if pull.update else None
    )
