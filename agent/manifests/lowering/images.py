"""Images: declared ones, and those that only containers name."""

from collections.abc import Iterator

from agent.manifests import inputs, registry
from agent.manifests.lowering import draft
from agent.manifests.v1 import image as v1_image
from agent.model import image
from agent.oci import reference

_PULLED = image.PullSource("")


def lower(manifest: registry.Manifest, declared: v1_image.Image, sketch: draft.Draft) -> None:
    """Add an Image, and how it goes with its registry."""
    lowered = _image(declared, inputs.archive(manifest, sketch.inputs), sketch.registry)
    sketch.images[lowered.name] = lowered
    sketch.follows += _follows(declared, lowered)


def add_implicit(sketch: draft.Draft) -> None:
    """Add the images that only containers name: each is pulled, under its reference as its name."""
    declared = {image.reference for image in sketch.images.values()}
    implicit = {container.image for container in sketch.containers} - declared
    sketch.images |= {name: image.ImageConfig(name, name, _PULLED) for name in implicit}


def _image(manifest: v1_image.Image, archive: image.ArchiveSource | None, default_registry: str) -> image.ImageConfig:
    name, spec = manifest.metadata.name, manifest.spec
    if archive is not None:
        return image.ImageConfig(name, f"localhost/{name}:latest", archive)
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
