"""What containers and builds may have of the host: a value that a runtime is given, and asks before it makes one."""

import posixpath
from collections.abc import Iterable

from agent.kit import frozen


@frozen.value
class HostAccess:
    """What a runtime refuses whatever a config says."""

    roots: tuple[str, ...] | None = None
    """Absolute paths that binds have to lie below, symlinks followed; ``None``: anywhere."""
    refuses_root: bool = False
    """No first process may have the user id 0, be it by its config or by its image's."""
    registries: tuple[str, ...] = ()
    """The only ones that base images of builds come from, or patterns of ``registry/repository``; empty: all."""
    fetches: bool = True
    """Builds may fetch files and repositories (ADD of a URL), which is done from the host's own network."""

    @property
    def limits_builds(self) -> bool:
        """Return whether there is anything that a Dockerfile may not do."""
        return self.roots is not None or bool(self.registries) or not self.fetches


UNLIMITED = HostAccess()


def normal(path: str) -> str:
    """Return an absolute path without its detours: ``/srv/../etc`` is ``/etc``."""
    return "/" + posixpath.normpath(path).lstrip("/")


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Return whether a path is one of some roots, or below one, as far as their spelling tells."""
    steps = _steps(path)
    return any(steps[: len(root)] == root for root in map(_steps, roots))


def _steps(path: str) -> list[str]:
    return [step for step in normal(path).split("/") if step]
