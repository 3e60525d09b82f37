"""Containers: made, started, changed in place, replaced, restarted, removed.

A replacement is made under a temporary name before its predecessor is touched: where that fails, the old one goes on.
What an interrupted replacement has left is recognised by its labels and finished or taken away.
"""

import dataclasses
from collections.abc import Iterable

from agent.kit import canonical, graph
from agent.model import container, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, draft, gates, match, plan, restarts, stores

Observed = container.ObservedContainer
_FORCES = "(forces replacement)"
"""Marks what cannot be changed in place, among all that changes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Writes all containers' steps into a draft."""

    world: match.World
    sketch: draft.Draft
    ground: stores.Ground
    progress: gates.Progress

    def write(self) -> None:
        """Plan declared containers in the order of their dependencies, then those that are no longer declared."""
        for name in _order(self.world.declared):
            Subject(self, self.world.declared[name]).write()
        for name in sorted(self.world.owned_containers.keys() - self.world.declared.keys()):
            self._orphan(name)

    def remove(self, found: Observed, cause: actions.Cause, after: Iterable[int | None] = ()) -> int:
        """Stop a container if it runs, and remove it; what it stands on may go after that."""
        key = ObjectKey(Kind.CONTAINER, found.config.name)
        last = list(after)
        if found.state is container.ContainerState.RUNNING:
            last = [self.sketch.add(actions.StopContainer(key, cause, found.id, found.config.stop), last)]
        step = self.sketch.add(actions.RemoveContainer(key, cause, found.id), last)
        self.released(found, step)
        return step

    def released(self, found: Observed, step: int) -> None:
        """Let removals of what a container used wait for a step of it."""
        used = set(state.used_by(found.config))
        for key, leaving in self.ground.leaving.items():
            image = self.world.images.get(found.config.image)
            if key in used or (image is not None and self.world.key_of(image.labels) == key):
                self.sketch.wait(leaving, [step])
        for one in found.config.networks:
            if one.network in self.ground.remade:
                self.sketch.wait(self.ground.remade[one.network], [step])

    def _orphan(self, name: str) -> None:
        key = ObjectKey(Kind.CONTAINER, name)
        self.sketch.buckets[key] = plan.Bucket.ORPHANED
        hold = self.world.hold_on(key, None)
        if not self.world.policy.prune:
            return
        if hold is not None:
            self.sketch.block(plan.Blocked(key, hold.reason, hold.message, hold.until))
            return
        for found in self.world.owned_containers[name]:
            self.remove(found, actions.Cause(actions.Reason.ORPHANED, "no longer declared"))


class Subject:
    """One declared container, and what there is of it."""

    def __init__(self, writer: Writer, wanted: container.ContainerConfig) -> None:
        """Look at what is there."""
        self.writer = writer
        self.world = writer.world
        self.sketch = writer.sketch
        self.wanted = wanted
        self.key = ObjectKey(Kind.CONTAINER, wanted.name)
        found = self.world.owned_containers.get(wanted.name, [])
        self.current = next((one for one in found if one.name == wanted.name), None)
        self.extras = [one for one in found if one.name != wanted.name]
        self.memory = self.world.memory.get(self.key)

    def write(self) -> None:
        """Plan it."""
        hold = self.world.hold_on(self.key, self.wanted)
        self.sketch.buckets[self.key] = self._bucket()
        if hold is not None:
            self.sketch.block(plan.Blocked(self.key, hold.reason, hold.message, hold.until))
        elif self.wanted.name in self.world.foreign_names and self.current is None:
            self.sketch.buckets[self.key] = plan.Bucket.FOREIGN
            message = f"container {self.wanted.name} is there already and not ours"
            self.sketch.block(plan.Blocked(self.key, "Foreign", message))
        elif self.current is None:
            self._absent()
        else:
            self._present(self.current)

    def _bucket(self) -> plan.Bucket:
        if self.current is None:
            return plan.Bucket.MISSING
        if self._replacing(self.current) or self._in_place(self.current):
            return plan.Bucket.DRIFTED
        if self.current.state is container.ContainerState.RUNNING:
            seen = self.world.health.get(self.current.id)
            return plan.Bucket.FAILED if seen is not None and not seen.alive else plan.Bucket.MATCHING
        if self.current.state is container.ContainerState.CREATED:
            return plan.Bucket.STOPPED
        wanted = restarts.of_exited(self.wanted.restart, self.current, self.memory)
        return plan.Bucket.STOPPED if wanted is None else plan.Bucket.FAILED

    def _absent(self) -> None:
        """Make it, or go on with what an interrupted replacement has left."""
        ready = next((one for one in self.extras if not self._replacing(one)), None)
        removed = self._remove_extras(ready)
        if ready is not None:
            cause = actions.Cause(actions.Reason.INTERRUPTED, "goes on with an interrupted replacement")
            renamed = self.sketch.add(actions.RenameContainer(self.key, cause, ready.id, self.wanted.name), removed)
            changed = self._change(ready, [renamed])
            if ready.state is not container.ContainerState.RUNNING:
                self._start(ready.id, cause, [renamed, *changed])
            return
        gate = gates.creation(self.world, self.writer.ground, self.wanted)
        if gate.closed:
            gates.block(self.sketch, self.key, gate)
            return
        cause = self._cause_of_absence()
        made = self.sketch.add(
            actions.CreateContainer(self.key, cause, self.wanted, self.wanted.name), [*gate.after, *removed]
        )
        self._start(self.wanted.name, cause, [made])

    def _present(self, current: Observed) -> None:
        replacing = self._replacing(current)
        if replacing:
            self._replace(current, replacing)
            return
        removed = self._remove_extras(None)
        changed = self._change(current, removed)
        self._run(current, changed)

    def _replace(self, current: Observed, cause: actions.Cause) -> None:
        """Make the new one, take the old one away, give the new one its name, start it."""
        creation = gates.creation(self.world, self.writer.ground, self.wanted)
        starting = gates.start(self.world, self.sketch, self.writer.ground, self.writer.progress, self.wanted)
        for gate in (creation, starting):
            if gate.closed:
                gates.block(self.sketch, self.key, gate)
                self._stay(current)
                return
        self.writer.progress.stops.add(self.wanted.name)
        ready = next((one for one in self.extras if not self._replacing(one)), None)
        removed = self._remove_extras(ready)
        if ready is None and self._network_remade(current):
            gone = self.writer.remove(current, cause, removed)
            made = self.sketch.add(
                actions.CreateContainer(self.key, cause, self.wanted, self.wanted.name), [*creation.after, gone]
            )
            self._start(self.wanted.name, cause, [made])
            return
        temporary = f"{self.wanted.name}-{canonical.digest(self.wanted)[:8]}-new"
        if ready is None:
            made = self.sketch.add(
                actions.CreateContainer(self.key, cause, self.wanted, temporary), [*creation.after, *removed]
            )
        gone = self.writer.remove(current, cause, removed if ready else [made])
        ref = ready.id if ready else temporary
        renamed = self.sketch.add(actions.RenameContainer(self.key, cause, ref, self.wanted.name), [gone])
        self._start(self.wanted.name, cause, [renamed])

    def _run(self, current: Observed, after: list[int]) -> None:
        """Start it where it should run and does not, restart it where it is dead."""
        if current.state is container.ContainerState.CREATED:
            self._start(current.id, actions.Cause(actions.Reason.NOT_STARTED, "was made and never started"), after)
        elif current.state is container.ContainerState.EXITED:
            self._ended(current, after)
        else:
            seen = self.world.health.get(current.id)
            if seen is not None and not seen.alive and self.wanted.restart.policy is not container.RestartPolicy.NEVER:
                failed = (seen.failed_at or self.world.now, seen.message)
                restart = restarts.of_unhealthy(self.wanted.restart, current, self.memory, failed)
                if self._due(restart):
                    self._restart(current, restart, after)

    def _ended(self, current: Observed, after: list[int]) -> None:
        restart = restarts.of_exited(self.wanted.restart, current, self.memory)
        if restart is None:
            if current.exit_code != 0 or current.stop_requested:
                message = f"exited with {current.exit_code}, and its policy is {self.wanted.restart.policy.value}"
                self.sketch.block(plan.Blocked(self.key, "Stopped", message))
            return
        if self.world.applied_before(self.wanted) and restarts.killed_behind_our_back(current):
            self.sketch.drift[self.key] = f"killed behind our back: {restart.cause.message}"
        if not self._due(restart):
            return
        ours = self.memory is not None and self.memory.restarting
        step = self._start(current.id, restart.cause, after, restart, counted=not ours)
        if step is None:
            self.writer.progress.stops.add(self.wanted.name)

    def _restart(self, current: Observed, restart: restarts.Restart, after: list[int]) -> None:
        gate = gates.start(self.world, self.sketch, self.writer.ground, self.writer.progress, self.wanted)
        if gate.closed:  # stopping what could not start again would only make it worse
            gates.block(self.sketch, self.key, gate)
            return
        self.writer.progress.stops.add(self.wanted.name)
        verified = gates.image(self.world, self.writer.ground, self.wanted)
        stopped = self.sketch.add(
            actions.StopContainer(self.key, restart.cause, current.id, self.wanted.stop, restart.reason),
            [*after, *verified.after],
        )
        self._start(current.id, restart.cause, [stopped], restart, counted=False)

    def _due(self, restart: restarts.Restart) -> bool:
        if restart.due <= self.world.now:
            return True
        message = f"{restart.cause.message}; failure {restart.streak} in a row"
        self.sketch.block(plan.Blocked(self.key, "BackOff", message, restart.due))
        return False

    def _start(
        self,
        ref: str,
        cause: actions.Cause,
        after: Iterable[int],
        restart: restarts.Restart | None = None,
        *,
        counted: bool = False,
    ) -> int | None:
        gate = gates.start(self.world, self.sketch, self.writer.ground, self.writer.progress, self.wanted)
        if gate.closed:
            gates.block(self.sketch, self.key, gate)
            return None
        remade = [
            self.writer.ground.ready[key]
            for key in stores.used_by(self.wanted, self.world)
            if key.kind is Kind.NETWORK and key in self.writer.ground.ready
        ]
        reason = restart.reason if restart is not None and counted else None
        streak = restart.streak if restart is not None else 0
        action = actions.StartContainer(self.key, cause, ref, reason, streak)
        step = self.sketch.add(action, [*after, *gate.after, *remade])
        self.writer.progress.starts[self.wanted.name] = step
        return step

    def _change(self, found: Observed, after: list[int]) -> list[int]:
        """Change in place what can be, and leave and enter networks; gives the steps."""
        fields = {one.field: one for one in self._in_place(found)}
        steps = []
        if "resources" in fields or "labels" in fields:
            told = tuple(one for one in fields.values() if one.field != "networks")
            steps.append(
                self.sketch.add(
                    actions.UpdateContainer(
                        self.key,
                        self._cause_of_change(told),
                        found.id,
                        self.wanted.resources if "resources" in fields else None,
                        self.wanted.labels if "labels" in fields else None,
                    ),
                    after,
                )
            )
        return steps + self._reattach(found, fields.get("networks"), after)

    def _reattach(self, found: Observed, difference: diff.Difference | None, after: list[int]) -> list[int]:
        cause = self._cause_of_change((difference,)) if difference else None
        wanted = {one.network: one for one in self.wanted.networks}
        steps = []
        for present in found.config.networks:
            remade = present.network in self.writer.ground.remade
            if wanted.get(present.network) != present or remade:
                why = cause or actions.Cause(actions.Reason.CHANGED, f"network {present.network} is made anew")
                left = self.sketch.add(actions.DisconnectContainer(self.key, why, found.id, present.network), after)
                self.writer.released(dataclasses.replace(found, config=_only(found.config, present)), left)
                steps.append(left)
        for name, attachment in wanted.items():
            remade = name in self.writer.ground.remade
            if attachment not in found.config.networks or remade:
                why = cause or actions.Cause(actions.Reason.CHANGED, f"network {name} is made anew")
                ready = self.writer.ground.ready.get(ObjectKey(Kind.NETWORK, name))
                action = actions.ConnectContainer(self.key, why, found.id, attachment)
                steps.append(self.sketch.add(action, [*after, *steps, ready]))
        return steps

    def _stay(self, current: Observed) -> None:
        """Let one whose replacement waits go on: it leaves networks that are made anew, and comes back."""
        for present in current.config.networks:
            if present.network in self.writer.ground.remade:
                why = actions.Cause(actions.Reason.CHANGED, f"network {present.network} is made anew")
                left = self.sketch.add(actions.DisconnectContainer(self.key, why, current.id, present.network))
                self.writer.released(dataclasses.replace(current, config=_only(current.config, present)), left)
                ready = self.writer.ground.ready[ObjectKey(Kind.NETWORK, present.network)]
                self.sketch.add(actions.ConnectContainer(self.key, why, current.id, present), [left, ready])

    def _remove_extras(self, kept: Observed | None) -> list[int]:
        cause = actions.Cause(actions.Reason.INTERRUPTED, "left by an interrupted replacement")
        return [self.writer.remove(one, cause) for one in self.extras if one is not kept]

    def _network_remade(self, current: Observed) -> bool:
        return any(one.network in self.writer.ground.remade for one in current.config.networks)

    def _replacing(self, found: Observed) -> actions.Cause | None:
        """Tell what forces a replacement, if anything."""
        differences = diff.of_container(self.wanted, found.config, self.world.policy.in_place)
        if any(one.change is diff.Change.REPLACE for one in differences):
            return self._cause_of_change(differences)
        image = self.world.images.get(self.wanted.image)
        if self.wanted.image in self.writer.ground.changing:
            message = f"image {self.wanted.image} is fetched anew"
        elif image is not None and image.id != found.image_id:
            message = f"image {self.wanted.image} is another one now"
        else:
            return None
        told = "; ".join((f"{message} {_FORCES}", *(str(one) for one in differences)))
        return actions.Cause(actions.Reason.IMAGE_CHANGED, told, ("image", *(one.field for one in differences)))

    def _in_place(self, found: Observed) -> tuple[diff.Difference, ...]:
        return tuple(
            one
            for one in diff.of_container(self.wanted, found.config, self.world.policy.in_place)
            if one.change is diff.Change.IN_PLACE
        )

    def _cause_of_absence(self) -> actions.Cause:
        if self.world.applied_before(self.wanted):
            self.sketch.drift[self.key] = "was removed"
            return actions.Cause(actions.Reason.DRIFTED, "was removed behind our back")
        return actions.Cause(actions.Reason.MISSING, "not there yet")

    def _cause_of_change(self, differences: tuple[diff.Difference, ...]) -> actions.Cause:
        drifted = self.world.applied_before(self.wanted)
        message = "; ".join(
            f"{one} {_FORCES}" if one.change is diff.Change.REPLACE else str(one) for one in differences
        )
        if drifted:
            self.sketch.drift[self.key] = message
        reason = actions.Reason.DRIFTED if drifted else actions.Reason.CHANGED
        return actions.Cause(reason, message, tuple(one.field for one in differences))


def _only(config: container.ContainerConfig, attachment: container.NetworkAttachment) -> container.ContainerConfig:
    """Give a config that uses nothing but one network: what is released by leaving it."""
    return dataclasses.replace(config, networks=(attachment,), mounts=(), image="")


def _order(declared: dict[str, container.ContainerConfig]) -> list[str]:
    """Sort by dependency, then by name. A cycle, which admission refuses, is no reason to fail: name it is then."""
    edges = {name: [one.container for one in config.depends_on] for name, config in declared.items()}
    try:
        return graph.order(edges, key=str)
    except ValueError:
        return sorted(declared)
