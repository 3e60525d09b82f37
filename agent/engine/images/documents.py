"""The documents that make an image, read with the house's errors: its manifest, or an index that names one."""

import contextlib
import platform as machine
from collections.abc import Awaitable, Callable, Iterator

from agent.engine import errors
from agent.oci import descriptor, document, manifest, mediatypes, platform


async def choose(
    data: bytes,
    media_type: str,
    wanted: platform.Platform,
    fetch: Callable[[descriptor.Descriptor], Awaitable[bytes]],
) -> bytes:
    """Give the manifest for a platform: the document itself, or the one that an index names for it.

    Raises ``errors.Refused`` (``ImageRefused``), ``errors.NotFound`` (``PlatformNotFound``), and what ``fetch`` raises.
    """
    with told("the image"):
        parsed = manifest.parse(data, media_type)
    if isinstance(parsed, manifest.Manifest):
        return data
    index = platform.choose(wanted, [child.platform for child in parsed.manifests])
    if index is None:
        offered = ", ".join(sorted({str(child.platform) for child in parsed.manifests if child.platform})) or "nothing"
        raise errors.NotFound(
            f"the image is not made for {wanted}", hint=f"it is made for {offered}", reason="PlatformNotFound"
        )
    return await fetch(parsed.manifests[index])


def image(data: bytes) -> manifest.Manifest:
    """Read the manifest of an image whose layers can be unpacked. Raises ``errors.Refused`` (``ImageRefused``)."""
    with told("the image"):
        parsed = manifest.parse(data)
    if not isinstance(parsed, manifest.Manifest):
        raise errors.Refused("an index names another index where an image should be", reason="ImageRefused")
    unknown = [layer.media_type for layer in parsed.layers if layer.media_type not in mediatypes.LAYERS]
    if unknown:
        raise errors.Refused(f"the image has layers of unknown type {unknown[0][:100]!r}", reason="ImageRefused")
    return parsed


@contextlib.contextmanager
def told(what: object) -> Iterator[None]:
    """Say of what a document is malformed. Raises ``errors.Refused`` (``ImageRefused``)."""
    try:
        yield
    except document.Malformed as error:
        raise errors.Refused(f"{what}: {error}", reason="ImageRefused") from error


def of_platform(wanted: str) -> platform.Platform:
    """Read ``os/arch[/variant]``; an empty text is this host's."""
    return platform.parse(wanted) if wanted else platform.of_machine(machine.machine())
