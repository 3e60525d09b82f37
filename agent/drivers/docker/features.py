"""An engine's features, by its version: asked again whenever it may have been replaced by another."""

from agent.drivers.docker import connection, unsupported_features
from agent.model import policy
from agent.runtime import api


class EngineFeatures:
    """The features of the engine behind a connection, as of the last answer."""

    def __init__(self, engine: connection.Connection) -> None:
        """Hold the connection; the engine is not asked yet."""
        self._engine = engine
        self._features: api.Features | None = None

    @property
    def features(self) -> api.Features:
        """The features. Raises ``RuntimeError`` before the first ``ask``."""
        if self._features is None:
            raise RuntimeError("the engine has not been asked yet")
        return self._features

    async def ask(self) -> None:
        """Ask the engine for its version. Raises ``errors.Unavailable``."""
        self._features = of(await self._engine.version(), local=self._engine.where.is_local)


def of(version: connection.Json, *, local: bool) -> api.Features:
    """Return the features of an engine, by the answer of ``/version``."""
    podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())
    name = "podman" if podman else "docker"
    in_place = {policy.InPlace.NETWORKS}
    if not podman:
        in_place |= {policy.InPlace.FIRST_NETWORK, policy.InPlace.RESOURCES}
    return api.Features(name, frozenset(in_place), unsupported_features.of(name, local=local))
