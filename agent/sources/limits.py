"""Limits of a source: more is refused before it fills memory or disk, and the last good state stays."""

from agent.kit import frozen


@frozen.value
class Limits:
    """Limits of one source; sizes in bytes."""

    files: int = 50_000
    """Manifests."""
    total: int = 64 * 1024**2
    """Size of all manifests: what the agent may take of a host's memory for reading."""
    depth: int = 40
    """Levels of directories; deeper trees are mistakes (a source of ``/``, a bind mount of itself)."""
    entries: int = 200_000
    """Files and directories of a git commit."""
    checkout: int = 256 * 1024**2
    """Size of a commit's files, which are put on disk for relative paths of manifests."""
    fetch: int = 1024**3
    """Size of what one fetch of a git repository may bring."""


DEFAULT = Limits()


def megabytes(size: int) -> str:
    """Return a size as messages have it."""
    return f"{size / 2**20:.0f} MiB"
