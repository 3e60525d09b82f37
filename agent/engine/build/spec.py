"""Nouns of what builds make."""

from agent.kit import frozen
from agent.oci import descriptor


@frozen.value
class Layer:
    """A layer of an image: its tar stream's digest, and the blob that it is stored as."""

    diff_id: str
    blob: descriptor.Descriptor


@frozen.value
class BuiltImage:
    """What a build has made; it is stored, and on lease for as long as the build is held."""

    config: bytes
    layers: tuple[Layer, ...]
