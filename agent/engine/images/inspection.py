"""A cache of parsed documents in the store, each verified once for as long as its file stays the same.

Every listing and every collection needs all manifests and configs; to hash and parse them each time would take longer
than everything else in it.
"""

from collections.abc import Callable
from typing import TypeVar

from agent import errors
from agent.distribution.content import documents, store
from agent.kit import frozen
from agent.oci import digest, image_config, manifest
from agent.reasons import Reason

T = TypeVar("T")

_MOST = 20_000
"""The largest number of cached documents; then the cache is cleared."""
_Stamp = tuple[int, int, int]
"""Inode, size and time of change."""


@frozen.value
class Contents:
    """The parsed manifest and config of an image."""

    manifest: manifest.Manifest
    config: image_config.ImageConfig


class Documents:
    """Manifests and configs by their digests."""

    def __init__(self, content: store.ContentStore) -> None:
        """Store the arguments; nothing is read yet."""
        self._content = content
        self._parsed: dict[tuple[object, str], tuple[_Stamp, object]] = {}

    def contents(self, own: str, config: str) -> Contents:
        """Return the parsed manifest and config of an image.

        Raises ``errors.NotFound`` and ``errors.InvalidArgument`` where one of them is missing, damaged or malformed.
        """
        return Contents(self._read(own, documents.image), self._read(config, _config))

    def is_sound_config(self, blob: str) -> bool:
        """Return whether a config is stored undamaged; a damaged one would be used by the next pull."""
        try:
            self._read(blob, _config)
        except errors.Failure:
            return False
        return True

    def _read(self, blob: str, parse: Callable[[bytes], T]) -> T:
        stamp = self._stamp(blob)
        cached = self._parsed.get((parse, blob))
        if cached is not None and cached[0] == stamp:
            parsed: T = cached[1]  # type: ignore[assignment] # what this parser has made of it
            return parsed
        data = self._content.read(blob)
        if not digest.matches(blob, data):
            raise errors.InvalidArgument(
                f"{blob} is damaged", hint="pull or load the image again", reason=Reason.DIGEST_MISMATCH
            )
        if len(self._parsed) >= _MOST:
            self._parsed.clear()
        parsed = parse(data)
        self._parsed[parse, blob] = (stamp, parsed)
        return parsed

    def _stamp(self, blob: str) -> _Stamp:
        try:
            status = self._content.path(blob).stat()
        except FileNotFoundError as error:
            raise errors.NotFound(f"content {blob} is not in the store", reason=Reason.CONTENT_MISSING) from error
        return (status.st_ino, status.st_size, status.st_mtime_ns)


def _config(data: bytes) -> image_config.ImageConfig:
    with documents.translated("the image"):
        return image_config.parse(data)
