"""Documents of an image, parsed with the engine's errors: its manifest, or an index that names one."""

import contextlib
import platform as machine
from collections.abc import Awaitable, Callable, Iterator, Sequence

from agent import errors
from agent.oci import descriptor, document, manifest, mediatypes, platform
from agent.reasons import Reason


async def choose(
    data: bytes,
    media_type: str,
    requested: platform.Platform,
    fetch: Callable[[descriptor.Descriptor], Awaitable[bytes]],
) -> bytes:
    """Return the manifest for a platform: the document itself, or the one that an index names for it.

    Raises ``errors.InvalidArgument`` (``ImageRefused``), ``errors.NotFound`` (``PlatformNotFound``), and what ``fetch``
    raises.
    """
    with translated("the image"):
        parsed = manifest.parse(data, media_type)
    if isinstance(parsed, manifest.Manifest):
        return data
    return await fetch(parsed.manifests[choose_platform(requested, [child.platform for child in parsed.manifests])])


def choose_platform(requested: platform.Platform, offered: Sequence[platform.Platform | None]) -> int:
    """Return the index of the best offer. Raises ``errors.NotFound`` (``PlatformNotFound``) where none suits."""
    index = platform.choose(requested, offered)
    if index is None:
        available = ", ".join(sorted({str(offer) for offer in offered if offer})) or "nothing"
        raise errors.NotFound(
            f"the image is not made for {requested}",
            hint=f"it is made for {available}",
            reason=Reason.PLATFORM_NOT_FOUND,
        )
    return index


def image(data: bytes) -> manifest.Manifest:
    """Read the manifest of an image whose layers can be unpacked. Raises ``InvalidArgument`` (``ImageRefused``)."""
    with translated("the image"):
        parsed = manifest.parse(data)
    if not isinstance(parsed, manifest.Manifest):
        raise errors.InvalidArgument(
            "an index names another index where an image should be", reason=Reason.IMAGE_REFUSED
        )
    unknown = [layer.media_type for layer in parsed.layers if layer.media_type not in mediatypes.LAYERS]
    if unknown:
        raise errors.InvalidArgument(
            f"the image has layers of unknown type {unknown[0][:100]!r}", reason=Reason.IMAGE_REFUSED
        )
    return parsed


@contextlib.contextmanager
def translated(what: object) -> Iterator[None]:
    """Translate ``document.Malformed``, naming what is malformed. Raises ``InvalidArgument`` (``ImageRefused``)."""
    try:
        yield
    except document.Malformed as error:
        raise errors.InvalidArgument(f"{what}: {error}", reason=Reason.IMAGE_REFUSED) from error


def of_platform(text: str) -> platform.Platform:
    """Read ``os/arch[/variant]``; an empty text is this host's."""
    return platform.parse(text) if text else platform.of_machine(machine.machine())
