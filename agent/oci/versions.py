"""Versions in tags, and the newest of them in a range (Semantic Versioning; ranges as npm writes them)."""

from collections.abc import Iterable

from agent.oci import semver

_LONGEST = 128


class InvalidRange(ValueError):
    """A text that is no range of versions."""


def parse_range(text: str) -> semver.Range:
    """Read a range: ``^1.2``, ``~1.27.0``, ``>= 1.2 <2``, ``1.x``. Raises ``InvalidRange``."""
    wrong = InvalidRange(f"{text[:_LONGEST]!r} is no range of versions, like ^1.2, ~1.27.0 or >=1.2 <2")
    if not text.strip() or len(text) > _LONGEST:
        raise wrong
    try:
        return semver.parse_range(text)
    except ValueError as error:
        raise wrong from error


def newest(tags: Iterable[str], version_range: str) -> str | None:
    """Return the tag of the highest version in a range; ``None`` where no tag is of such a version.

    A tag is a version where it is one in full, perhaps behind a ``v``: ``1.27.3``, ``v2.0.0-rc.1``. ``1.27`` is none:
    it moves. A pre-release is only taken where the range names one of the same version. Of tags that differ only in
    what does not order versions (``v1.0.0``, ``1.0.0``) it is the first by name. Raises ``InvalidRange``.
    """
    fitting = parse_range(version_range)
    versions = {tag: version for tag in sorted(set(tags)) if (version := _version(tag)) and fitting.matches(version)}
    return max(versions, key=lambda tag: versions[tag], default=None)


def _version(tag: str) -> semver.Version | None:
    if len(tag) > _LONGEST:
        return None
    try:
        return semver.parse(tag)
    except ValueError:
        return None
