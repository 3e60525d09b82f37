"""Volumes."""

from agent.manifests import registry
from agent.manifests.lowering import draft
from agent.manifests.v1 import volume as v1_volume
from agent.model import volume
from agent.model.key import pairs


def lower(_: registry.Manifest, declared: v1_volume.Volume, sketch: draft.Draft) -> None:
    """Add a Volume."""
    sketch.others.append(_volume(declared))


def _volume(manifest: v1_volume.Volume) -> volume.VolumeConfig:
    return volume.VolumeConfig(
        name=manifest.metadata.name,
        driver=volume.VolumeDriver(manifest.spec.driver),
        labels=pairs(manifest.metadata.labels),
        deletion_policy=volume.DeletionPolicy(manifest.spec.deletion_policy),
    )
