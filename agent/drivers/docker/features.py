"""An engine's features and its machine: asked again whenever it may have been replaced by another."""

from agent.drivers.docker import connection, unsupported_features
from agent.kit import machine
from agent.model import policy
from agent.model.features import Feature
from agent.runtime import api


class EngineFeatures:
    """The features of the engine behind a connection, as of the last answer."""

    def __init__(self, engine: connection.Connection) -> None:
        """Hold the connection; the engine is not asked yet."""
        self._engine = engine
        self._features: api.Features | None = None
        self._machine: machine.Machine | None = None

    @property
    def features(self) -> api.Features:
        """The features. Raises ``RuntimeError`` before the first ``ask``."""
        if self._features is None:
            raise RuntimeError("the engine has not been asked yet")
        return self._features

    def require(self, feature: Feature) -> None:
        """Raise as ``api.Features.require``, by the last answer."""
        self.features.require(feature)

    async def ask(self) -> None:
        """Ask the engine for its version. Raises ``errors.Unavailable``."""
        self._features = of(await self._engine.version(), local=self._engine.where.is_local)
        self._machine = None

    async def machine(self) -> machine.Machine | None:
        """Return the size of the engine's machine, asking for it once; ``None`` where the engine does not tell.

        Raises the runtime's errors.
        """
        if self._machine is None:
            self._machine = machine_of(await self._engine.ask("info", "engine"))
        return self._machine


def of(version: connection.Json, *, local: bool) -> api.Features:
    """Return the features of an engine, by the answer of ``/version``."""
    podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())
    name = "podman" if podman else "docker"
    in_place = {policy.InPlace.NETWORKS}
    if not podman:
        in_place |= {policy.InPlace.FIRST_NETWORK, policy.InPlace.RESOURCES}
    return api.Features(name, frozenset(in_place), unsupported_features.of(name, local=local))


def machine_of(answer: object) -> machine.Machine | None:
    """Return the size of an engine's machine, by the answer of ``/info``; ``None`` where that does not tell it."""
    if not isinstance(answer, dict):
        return None
    cores, memory = answer.get("NCPU"), answer.get("MemTotal")
    if isinstance(cores, int) and isinstance(memory, int) and min(cores, memory) > 0:
        return machine.Machine(cores, memory)
    return None
