"""What differs on a container that is there, and the steps that change it where it stands."""

import dataclasses
from collections.abc import Iterable

from agent.kit import frozen
from agent.model import container, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, draft, match
from agent.plan import ground as grounds
from agent.reasons import Reason

Observed = container.ObservedContainer
_FORCES = "(forces replacement)"
"""Marks what cannot be changed in place, among all that changes."""


@frozen.value
class Changes:
    """Compares one declared container with what there is of it, and writes what can change in place."""

    world: match.World
    sketch: draft.Draft
    ground: grounds.Ground
    desired: container.ContainerConfig

    @property
    def key(self) -> ObjectKey:
        """Return whose changes these are."""
        return state.key_of(self.desired)

    def change(self, current: Observed, after: list[int]) -> list[int]:
        """Change in place what can be, and leave and enter networks; gives the steps."""
        fields = {difference.field: difference for difference in self.in_place(current)}
        steps = self._update(current, tuple(field for field in fields.values() if field.field != "networks"), after)
        return steps + self._reattach(current, fields.get("networks"), after)

    def record(self, current: Observed, after: Iterable[int]) -> list[int]:
        """Keep the declared supervision on one that goes or waits: it may be all that is left of it by its removal."""
        differences = diff.of_container(self.desired, current.config, self.world.policy.in_place)
        return self._update(
            current, tuple(difference for difference in differences if difference.change is diff.Change.RECORD), after
        )

    def _update(self, current: Observed, differences: tuple[diff.Difference, ...], after: Iterable[int]) -> list[int]:
        """Change limits, labels and supervision as far as they differ; gives the step, if there is one."""
        if not differences:
            return []
        fields = {difference.field for difference in differences}
        recorded = any(difference.change is diff.Change.RECORD for difference in differences)
        action = actions.UpdateContainer(
            self.key,
            self.cause_of_change(differences),
            current.id,
            self.desired.resources if "resources" in fields else None,
            self.desired.labels if "labels" in fields else None,
            self.desired.supervision if recorded else None,
        )
        return [self.sketch.add(action, after)]

    def _reattach(self, current: Observed, difference: diff.Difference | None, after: list[int]) -> list[int]:
        cause = self.cause_of_change((difference,)) if difference else None
        desired = {network.network: network for network in self.desired.networks}
        steps = []
        for present in current.config.networks:
            remade = present.network in self.ground.remade
            if desired.get(present.network) != present or remade:
                why = cause or actions.Cause(Reason.CHANGED, f"network {present.network} is made anew")
                detached = self.sketch.add(
                    actions.DisconnectContainer(self.key, why, current.id, present.network), after
                )
                self._release(current, present, detached)
                steps.append(detached)
        for name, attachment in desired.items():
            remade = name in self.ground.remade
            if attachment not in current.config.networks or remade:
                why = cause or actions.Cause(Reason.CHANGED, f"network {name} is made anew")
                ready = self.ground.ready.get(ObjectKey(Kind.NETWORK, name))
                action = actions.ConnectContainer(self.key, why, current.id, attachment)
                steps.append(self.sketch.add(action, [*after, *steps, ready]))
        return steps

    def stay(
        self, current: Observed, after: Iterable[int | None] = (), among: Iterable[container.NetworkAttachment] = ()
    ) -> list[int]:
        """Let one whose replacement waits go on: it leaves networks that are made anew, and comes back.

        ``among``: only to those, where the replacement is on its way.
        """
        kept = tuple(among)
        remade = [present for present in current.config.networks if present.network in self.ground.remade]
        steps = []
        for present in remade:
            why = actions.Cause(Reason.CHANGED, f"network {present.network} is made anew")
            leave = actions.DisconnectContainer(self.key, why, current.id, present.network)
            detached = self.sketch.add(leave, after)
            steps.append(detached)
            self._release(current, present, detached)
            if not kept or present in kept:
                ready = self.ground.ready[ObjectKey(Kind.NETWORK, present.network)]
                come_back = actions.ConnectContainer(self.key, why, current.id, present)
                steps.append(self.sketch.add(come_back, [detached, ready]))
        return steps

    def _release(self, current: Observed, present: container.NetworkAttachment, detached: int) -> None:
        """Let removals of what a container uses by being in a network wait until it has left that."""
        inside = dataclasses.replace(current, config=_only(current.config, present))
        release(self.world, self.sketch, self.ground, inside, detached)

    def replacing(self, current: Observed) -> actions.Cause | None:
        """Tell what forces a replacement, if anything."""
        if current.unreadable:
            return None
        differences = diff.of_container(self.desired, current.config, self.world.policy.in_place)
        if any(difference.change is diff.Change.REPLACE for difference in differences):
            return self.cause_of_change(differences)
        image = self.world.images.get(self.desired.image)
        if self.desired.image in self.ground.changing:
            message = f"image {self.desired.image} is fetched anew"
        elif image is not None and image.id != current.image_id and self.desired.image not in self.ground.rebuilt:
            message = f"image {self.desired.image} is another one now"
        else:
            return None
        text = "; ".join((f"{message} {_FORCES}", *(str(difference) for difference in differences)))
        return actions.Cause(Reason.IMAGE_CHANGED, text, ("image", *(difference.field for difference in differences)))

    def in_place(self, current: Observed) -> tuple[diff.Difference, ...]:
        """Return what can change where it stands."""
        if current.unreadable:
            return ()
        return tuple(
            difference
            for difference in diff.of_container(self.desired, current.config, self.world.policy.in_place)
            if difference.change is not diff.Change.REPLACE
        )

    def cause_of_change(self, differences: tuple[diff.Difference, ...]) -> actions.Cause:
        """Return why it changes, by what differs."""
        recorded = all(
            difference.change is diff.Change.RECORD for difference in differences
        )  # which nobody changes but us
        drifted = self.world.applied_before(self.desired) and not recorded
        message = "; ".join(
            f"{difference} {_FORCES}" if difference.change is diff.Change.REPLACE else str(difference)
            for difference in differences
        )
        if drifted:
            self.sketch.drift[self.key] = message
        reason = Reason.DRIFTED if drifted else Reason.CHANGED
        return actions.Cause(reason, message, tuple(difference.field for difference in differences))


def release(world: match.World, sketch: draft.Draft, ground: grounds.Ground, observed: Observed, step: int) -> None:
    """Let removals of what a container uses wait for a step of it."""
    image = world.images.get(observed.config.image)
    of_image = None if image is None else world.key_of(image.labels)
    for key in {*state.used_by(observed.config), *([of_image] if of_image is not None else [])}:
        if key in ground.leaving:
            sketch.wait(ground.leaving[key], [step])
    for network in observed.config.networks:
        if network.network in ground.remade:
            sketch.wait(ground.remade[network.network], [step])


def _only(config: container.ContainerConfig, attachment: container.NetworkAttachment) -> container.ContainerConfig:
    """Give a config that uses nothing but one network: what is released by leaving it."""
    return dataclasses.replace(config, networks=(attachment,), mounts=(), image="")
