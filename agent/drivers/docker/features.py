"""What an engine can do, by what it says of itself: asked anew whenever it may have become another one."""

from agent.drivers.docker import abilities, connection
from agent.model import policy
from agent.runtime import api


class Current:
    """The abilities of the engine behind a connection, as it said last."""

    def __init__(self, engine: connection.Connection) -> None:
        """Nothing is asked yet."""
        self._engine = engine
        self._features: api.Features | None = None

    @property
    def features(self) -> api.Features:
        """What it can do."""
        if self._features is None:
            raise RuntimeError("the engine has not been asked yet")
        return self._features

    async def ask(self) -> None:
        """Ask it. Raises ``errors.Unavailable``."""
        self._features = of(await self._engine.version(), local=self._engine.where.local)


def of(version: connection.Json, *, local: bool) -> api.Features:
    """Say what an engine can do, by its version."""
    podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())
    name = "podman" if podman else "docker"
    able = {policy.InPlace.NETWORKS}
    if not podman:
        able |= {policy.InPlace.FIRST_NETWORK, policy.InPlace.RESOURCES}
    return api.Features(name, frozenset(able), abilities.lacking(name, local=local))
