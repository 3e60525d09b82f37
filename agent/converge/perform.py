"""One action, one call of the runtime."""

from typing import assert_never

from agent.converge import signals
from agent.kit import canonical, frozen
from agent.model import kinds, state
from agent.model.key import Ownership, Pairs, ownership_labels
from agent.plan import actions
from agent.runtime import api


@frozen.value
class Performer:
    """Performs actions on a runtime in the name of one owner."""

    runtime: api.Runtime
    owner: str
    sink: signals.Sink
    """Told how far a fetch has got."""

    async def perform(self, action: actions.Action) -> None:  # noqa: C901, PLR0912 - one case an action, all alike
        """Make the one call. Raises what the runtime raises; what follows is ``dispose``'s business."""
        match action:
            case actions.EnsureImage():
                labels, progress = self._labels(action.config), self._progress(action)
                await self.runtime.images.ensure(action.config, labels, progress, action.pinned)
            case actions.RemoveImage():
                await self.runtime.images.remove(action.reference)
            case actions.CreateNetwork():
                await self.runtime.networks.create(action.config, self._labels(action.config))
            case actions.RemoveNetwork():
                await self.runtime.networks.remove(action.name)
            case actions.CreateVolume():
                await self.runtime.volumes.create(action.config, self._labels(action.config))
            case actions.RemoveVolume():
                await self.runtime.volumes.remove(action.name)
            case actions.CreateContainer():
                await self.runtime.containers.create(action.config, action.name, self._labels(action.config))
            case actions.StartContainer():
                await self.runtime.containers.start(action.ref)
            case actions.StopContainer():
                await self.runtime.containers.stop(action.ref, action.stop)
            case actions.RemoveContainer():
                await self.runtime.containers.remove(action.ref)
            case actions.RenameContainer():
                await self.runtime.containers.rename(action.ref, action.name)
            case actions.UpdateContainer():
                change = api.ContainerChange(action.resources, action.labels, action.supervision)
                await self.runtime.containers.update(action.ref, change)
            case actions.ConnectContainer():
                await self.runtime.containers.connect(action.ref, action.attachment)
            case actions.DisconnectContainer():
                await self.runtime.containers.disconnect(action.ref, action.network)
            case _:
                assert_never(action)

    def _progress(self, action: actions.Action) -> api.ProgressSink:
        return lambda progress: self.sink(signals.ActionProgress(action, progress))

    def _labels(self, config: kinds.Config) -> Pairs:
        return ownership_labels(Ownership(self.owner, state.key_of(config), canonical.digest(config)))
