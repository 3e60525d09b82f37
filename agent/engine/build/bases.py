"""What stages begin with, and take files of: images, pulled where they are not there."""

import enum
import json
from typing import Any

from agent import errors
from agent.distribution.content import documents, store
from agent.engine.build import result, spec
from agent.engine.images import images, leases
from agent.kit import frozen
from agent.oci import digest, image_config, manifest, platform, reference
from agent.reasons import Reason

_DIGITS = 32
"""Of a digest, in a tag."""
_LONGEST_TAG = 128


@frozen.value
class Image:
    """An image that a build stands on."""

    name: str
    base: result.Base
    layers: tuple[spec.Layer, ...]
    config: str
    """Digest of its configuration."""


class Pulls(enum.Enum):
    """When an image is pulled."""

    MISSING = enum.auto()
    ALWAYS = enum.auto()
    NEVER = enum.auto()


class Bases:
    """The images of an instance, as builds use them."""

    def __init__(self, store_of_images: images.Images, content: store.ContentStore) -> None:
        """Nothing is looked for yet."""
        self._images = store_of_images
        self._content = content

    async def image(self, name: str, requested: platform.Platform, lease: leases.Lease, pulls: Pulls) -> Image:
        """Return an image for a platform, on lease, pulled as ``pulls`` says.

        One for another platform than this host's never takes a name from the image that containers run.

        Raises ``errors.InvalidArgument`` for what is no reference, and what a pull raises.
        """
        try:
            parsed = reference.parse(name)
        except ValueError as error:
            raise errors.InvalidArgument(str(error), hint="see FROM in the Dockerfile") from error
        canonical = str(parsed)
        is_ours = platform.choose(documents.of_platform(""), [requested]) is not None
        own_name = canonical if is_ours else foreign_name(parsed, requested)
        for stored_name in () if pulls is Pulls.ALWAYS else (canonical, own_name):
            present = await self._held(stored_name, requested, lease)
            if present is not None:
                return present
        if pulls is Pulls.NEVER:
            raise errors.NotFound(f"{name} is not there, and may not be pulled", reason=Reason.IMAGE_NOT_FOUND)
        await self._images.pull(own_name, str(requested), self._labels(own_name), lambda _: None, canonical)
        present = await self._held(own_name, requested, lease)
        if present is None:
            raise errors.NotFound(f"{name} is not made for {requested}")
        return present

    async def _held(self, name: str, requested: platform.Platform, lease: leases.Lease) -> Image | None:
        """Return an image that is there, with a hold on all that it consists of."""
        present = self._present(name, requested)
        if present is None:
            return None
        diff_ids = tuple(layer.diff_id for layer in present.layers)
        blobs = (present.config, *(layer.blob.digest for layer in present.layers))
        await lease.add((*blobs, *image_config.chain_ids(diff_ids)))
        return self._present(name, requested)  # which may have gone meanwhile

    def _labels(self, name: str) -> images.Labels:
        """Return the labels that an image has, which a pull keeps."""
        try:
            return self._images.record(name).labels
        except errors.NotFound:
            return ()

    def _present(self, name: str, requested: platform.Platform) -> Image | None:
        try:
            stored = self._images.runnable(name)
            parsed = manifest.parse(self._images.manifest(name))
            document: dict[str, Any] = json.loads(self._content.read(stored.id))
        except (errors.NotFound, ValueError):
            return None
        if not isinstance(parsed, manifest.Manifest):
            return None
        own = stored.config.platform
        if own.architecture and platform.choose(requested, [own]) is None:
            return None
        layers = tuple(map(spec.Layer, stored.config.diff_ids, parsed.layers))
        return Image(name, result.Base(document, own if own.architecture else requested), layers, stored.id)


def foreign_name(name: reference.Reference, requested: platform.Platform) -> str:
    """Return what an image for another platform is kept as: in its repository, under a tag that says so."""
    version = name.digest.partition(":")[2][:_DIGITS] if name.digest else name.tag or ""
    suffix = f"_{str(requested).replace('/', '_')}"
    return f"{name.registry}/{name.repository}:{version[: _LONGEST_TAG - len(suffix)]}{suffix}"


def of_nothing(requested: platform.Platform) -> Image:
    """Return what a stage ``FROM scratch`` begins with."""
    return Image("", result.Base({"config": {"WorkingDir": "/"}}, platform.normal(requested)), (), digest.of(b""))
