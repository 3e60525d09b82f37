"""Containers: made, started, changed in place, replaced, restarted, removed.

A replacement is made under a temporary name before its predecessor is touched: where that fails, the old one goes on.
What an interrupted replacement has left is recognised by its labels and finished or taken away. A predecessor that was
stopped for a replacement that is no longer declared, and cannot be replaced yet, is started again meanwhile.
"""

import dataclasses
from collections.abc import Iterable

from agent.kit import canonical, frozen, graph
from agent.model import container, state
from agent.model.key import Kind
from agent.plan import actions, changes, draft, gates, match, plan, restarts, stores
from agent.plan import ground as grounds
from agent.reasons import Reason

Observed = container.ObservedContainer


@frozen.value
class Writer:
    """Writes all containers' steps into a draft."""

    world: match.World
    sketch: draft.Draft
    ground: grounds.Ground
    progress: gates.Progress

    def write(self) -> None:
        """Plan declared containers in the order of their dependencies, then those that are no longer declared."""
        for name in _order(self.world.declared):
            Subject(self, self.world.declared[name]).write()
        for name in sorted(self.world.owned_containers.keys() - self.world.declared.keys()):
            self._orphan(name)

    def remove(
        self, current: Observed, cause: actions.Cause, stop: container.StopConfig, after: Iterable[int | None] = ()
    ) -> int:
        """Stop a container if it runs, and remove it; what it stands on may go after that."""
        key = state.key_of(current.config)
        last = list(after)
        if current.state is container.ContainerState.RUNNING:
            last = [self.sketch.add(actions.StopContainer(key, cause, current.id, stop), last)]
        step = self.sketch.add(actions.RemoveContainer(key, cause, current.id), last)
        changes.release(self.world, self.sketch, self.ground, current, step)
        return step

    def _orphan(self, name: str) -> None:
        leftovers = self.world.owned_containers[name]
        key = state.key_of(leftovers[0].config)
        self.sketch.buckets[key] = plan.Bucket.ORPHANED
        hold = self.world.hold_on(key, None)
        if not self.world.policy.prune:
            return
        if hold is not None:
            self.sketch.block(plan.Blocked(key, hold.reason, hold.message, hold.until))
            return
        for leftover in leftovers:
            cause = actions.Cause(Reason.ORPHANED, "no longer declared")
            self.remove(leftover, cause, leftover.config.stop)


class Subject:
    """One declared container, and what there is of it."""

    def __init__(self, writer: Writer, desired: container.ContainerConfig) -> None:
        """Look at what is there."""
        self.writer = writer
        self.world = writer.world
        self.sketch = writer.sketch
        self.desired = desired
        self.changes = changes.Changes(writer.world, writer.sketch, writer.ground, desired)
        self.key = state.key_of(desired)
        candidates = self.world.owned_containers.get(desired.name, [])
        self.current = next((candidate for candidate in candidates if candidate.name == desired.name), None)
        self.extras = [candidate for candidate in candidates if candidate.name != desired.name]
        self.memory = self.world.memory.get(self.key)

    def write(self) -> None:
        """Plan it."""
        hold = self.world.hold_on(self.key, self.desired)
        self.sketch.buckets[self.key] = self._bucket()
        if hold is not None:
            if hold.reason is not Reason.SUSPENDED or self._has_work():
                self.sketch.block(plan.Blocked(self.key, hold.reason, hold.message, hold.until))
        elif self.desired.name in self.world.foreign_names and self.current is None:
            self.sketch.buckets[self.key] = plan.Bucket.FOREIGN
            message = f"container {self.desired.name} is there already and not ours"
            self.sketch.block(plan.Blocked(self.key, Reason.FOREIGN, message))
        elif self.current is None:
            self._absent()
        else:
            self._present(self.current)

    def _bucket(self) -> plan.Bucket:
        if self.current is None:
            return plan.Bucket.MISSING
        if self.changes.replacing(self.current) or self.changes.in_place(self.current):
            return plan.Bucket.DRIFTED
        if self.current.state is container.ContainerState.RUNNING:
            probed = self.world.health.get(self.current.id)
            return plan.Bucket.FAILED if probed is not None and not probed.alive else plan.Bucket.MATCHING
        if self.current.state is container.ContainerState.CREATED:
            return plan.Bucket.STOPPED
        restart = restarts.of_exited(self.desired.restart, self.current, self.memory)
        return plan.Bucket.STOPPED if restart is None else plan.Bucket.FAILED

    def _has_work(self) -> bool:
        """Return whether something is to be done to it, or may be soon: it is not as declared, or does not run."""
        if self.extras or self.current is None:
            return True
        if self.sketch.buckets[self.key] is plan.Bucket.STOPPED:
            return self.current.exit_code != 0 or self.current.stop_requested
        return self.sketch.buckets[self.key] is not plan.Bucket.MATCHING

    def _absent(self) -> None:
        """Make it, or go on with what an interrupted replacement has left."""
        ready = next((extra for extra in self.extras if not self.changes.replacing(extra)), None)
        if ready is not None:
            removed = self._remove_extras(ready)
            cause = actions.Cause(Reason.INTERRUPTED, "goes on with an interrupted replacement")
            renamed = self.sketch.add(actions.RenameContainer(self.key, cause, ready.id, self.desired.name), removed)
            changed = self.changes.change(ready, [renamed])
            if ready.state is not container.ContainerState.RUNNING:
                self._start(ready.id, cause, [renamed, *changed, *self._remade(self.desired)])
            return
        if self.extras:
            self._stand_in()
            return
        gate = gates.creation(self.world, self.writer.ground, self.desired)
        if gate.closed:
            gates.block(self.sketch, self.key, gate)
            return
        cause = self._cause_of_absence()
        creation = self.sketch.add(
            actions.CreateContainer(self.key, cause, self.desired, self.desired.name), gate.after
        )
        self._start(self.desired.name, cause, [creation, *self._remade(self.desired)])

    def _stand_in(self) -> None:
        """Let the newest that an interrupted replacement has left take the name, and replace that."""
        newest = max(self.extras, key=lambda extra: (extra.created_at, extra.id))
        removed = self._remove_extras(newest)
        cause = actions.Cause(Reason.INTERRUPTED, "goes on with an interrupted replacement")
        renamed = self.sketch.add(actions.RenameContainer(self.key, cause, newest.id, self.desired.name), removed)
        self.extras = []
        current = dataclasses.replace(newest, name=self.desired.name)
        self._replace(current, self.changes.replacing(current) or cause, [renamed])

    def _present(self, current: Observed) -> None:
        if current.unreadable:
            self._run(current, self.changes.stay(current))
            self.sketch.block(plan.Blocked(self.key, Reason.DECLARATION_UNREADABLE, current.unreadable))
            return
        replacing = self.changes.replacing(current)
        if replacing:
            self._replace(current, replacing)
            return
        removed = self._remove_extras(None)
        changed = self.changes.change(current, removed)
        self._run(current, changed)

    def _replace(self, current: Observed, cause: actions.Cause, after: Iterable[int] = ()) -> None:
        """Let the successor take over, or the old one go on where that cannot be."""
        begun = [*after, *self.changes.record(current, after)]
        creation = gates.creation(self.world, self.writer.ground, self.desired)
        starting = gates.start(self.world, self.sketch, self.writer.ground, self.writer.progress, self.desired)
        for gate in (creation, starting):
            if gate.closed:
                gates.block(self.sketch, self.key, gate)
                self._run(current, [*begun, *self.changes.stay(current)])
                return
        ready = next((extra for extra in self.extras if not (extra.unreadable or self.changes.replacing(extra))), None)
        resumed = ready is None and self._is_resumed(current)
        if resumed and self._network_remade(current):
            self._run(current, [*begun, *self.changes.stay(current)])
            message = "it is started again in a network that is made anew, and replaced after that"
            self.sketch.block(plan.Blocked(self.key, Reason.WAITING_FOR_DEPENDENCY, message))
            return
        if resumed:
            self._run(current, begun)
            if (started := self.writer.progress.starts.get(self.desired.name)) is not None:
                begun.append(started)
                current = dataclasses.replace(current, state=container.ContainerState.RUNNING)
        self.writer.progress.stops.add(self.desired.name)
        begun += self._remove_extras(ready)
        self._succeed(current, cause, ready, begun)

    def _succeed(self, current: Observed, cause: actions.Cause, ready: Observed | None, after: list[int]) -> None:
        """Make the new one, unless it is there already, before the old one goes; give it the name and start it."""
        temporary = f"{self.desired.name}-{canonical.digest(self.desired)[:8]}-new"
        if ready is None:
            used = stores.used_by(self.desired, self.world)
            stands_on = [self.writer.ground.ready.get(key) for key in used if key.name not in self.writer.ground.remade]
            moved = self.changes.stay(current, [*after, *stands_on], self.desired.networks)
            creation = gates.creation(self.world, self.writer.ground, self.desired)
            action = actions.CreateContainer(self.key, cause, self.desired, temporary)
            after = [*moved, self.sketch.add(action, [*creation.after, *after])]
            kept = tuple(
                network for network in current.config.networks if network.network not in self.writer.ground.remade
            )
            current = dataclasses.replace(current, config=dataclasses.replace(current.config, networks=kept))
        removal = self.writer.remove(current, cause, self.desired.stop, after)
        ref = ready.id if ready else temporary
        renamed = self.sketch.add(actions.RenameContainer(self.key, cause, ref, self.desired.name), [removal])
        self._start(self.desired.name, cause, [renamed, *self._remade(self.desired)])

    def _is_resumed(self, current: Observed) -> bool:
        """Return whether one that is down is started although its replacement is on its way.

        It is where nobody can say how soon that is there, if ever: it is still fetched, or making it has failed before;
        and where we ourselves have stopped it for a successor that is no longer declared.
        """
        failed = self.key in self.world.holds
        fetched = self.world.image_keys.get(self.desired.image) in self.writer.ground.ready
        ours = self.memory is not None and self.memory.restarting
        return current.state is not container.ContainerState.RUNNING and (failed or fetched or ours)

    def _run(self, current: Observed, after: list[int]) -> None:
        """Start it where it should run and does not, restart it where it is dead.

        Of the networks that are made anew it waits for those that it is in itself: for the others its successor does,
        and what holds them up may never come.
        """
        after = [*after, *self._remade(current.config)]
        if self.key in self.world.policy.restarts:
            self._restart_on_request(current, after)
        elif current.state is container.ContainerState.CREATED:
            self._start(current.id, actions.Cause(Reason.NOT_STARTED, "was made and never started"), after)
        elif current.state is container.ContainerState.EXITED:
            self._ended(current, after)
        else:
            probed = self.world.health.get(current.id)
            if (
                probed is not None
                and not probed.alive
                and self.desired.restart.policy is not container.RestartPolicy.NEVER
            ):
                failed = (probed.failed_at or self.world.now, probed.message)
                restart = restarts.of_unhealthy(self.desired.restart, current, self.memory, failed)
                if self._due(restart):
                    self._restart(current, restart, after)

    def _ended(self, current: Observed, after: list[int]) -> None:
        restart = restarts.of_exited(self.desired.restart, current, self.memory)
        if restart is None:
            if current.exit_code != 0 or current.stop_requested:
                message = f"{restarts.exit_message(current)}, and its policy is {self.desired.restart.policy.value}"
                self.sketch.block(plan.Blocked(self.key, Reason.STOPPED, message))
            return
        if self.world.applied_before(self.desired) and restarts.killed_behind_our_back(current):
            self.sketch.drift[self.key] = f"killed behind our back: {restart.cause.message}"
        if not self._due(restart):
            return
        ours = restarts.is_stopped_by_us(current, self.memory)
        step = self._start(current.id, restart.cause, after, restart, counted=not ours)
        if step is None:
            self.writer.progress.stops.add(self.desired.name)

    def _restart_on_request(self, current: Observed, after: list[int]) -> None:
        """Restart one that runs, and start any other one, also where its policy would leave it or it would wait."""
        restart = restarts.on_request(self.world.now)
        if current.state is container.ContainerState.RUNNING:
            self._restart(current, restart, after)
        else:
            self._start(current.id, restart.cause, after, restart)

    def _restart(self, current: Observed, restart: restarts.Restart, after: list[int]) -> None:
        gate = gates.start(self.world, self.sketch, self.writer.ground, self.writer.progress, self.desired)
        if gate.closed:  # stopping what could not start again would only make it worse
            gates.block(self.sketch, self.key, gate)
            return
        self.writer.progress.stops.add(self.desired.name)
        verified = gates.image(self.world, self.writer.ground, self.desired)
        stopped = self.sketch.add(
            actions.StopContainer(self.key, restart.cause, current.id, self.desired.stop, restart.reason),
            [*after, *verified.after],
        )
        self._start(current.id, restart.cause, [stopped], restart, counted=False)

    def _due(self, restart: restarts.Restart) -> bool:
        if restart.due <= self.world.now:
            return True
        message = f"{restart.cause.message}; failure {restart.streak} in a row"
        self.sketch.block(plan.Blocked(self.key, Reason.BACK_OFF, message, restart.due))
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
        resumed = self.memory is not None and self.memory.restarting
        gate = gates.start(
            self.world, self.sketch, self.writer.ground, self.writer.progress, self.desired, resumed=resumed
        )
        if gate.closed:
            gates.block(self.sketch, self.key, gate)
            return None
        reason = restart.reason if restart is not None and counted else None
        streak = restart.streak if restart is not None else 0
        action = actions.StartContainer(self.key, cause, ref, reason, streak)
        step = self.sketch.add(action, [*after, *gate.after])
        self.writer.progress.starts[self.desired.name] = step
        return step

    def _remove_extras(self, kept: Observed | None) -> list[int]:
        cause = actions.Cause(Reason.INTERRUPTED, "left by an interrupted replacement")
        return [self.writer.remove(extra, cause, self.desired.stop) for extra in self.extras if extra is not kept]

    def _remade(self, config: container.ContainerConfig) -> list[int]:
        """Return the steps after which a container's networks are ready."""
        ready = self.writer.ground.ready
        return [ready[key] for key in stores.used_by(config, self.world) if key.kind is Kind.NETWORK and key in ready]

    def _network_remade(self, current: Observed) -> bool:
        return any(network.network in self.writer.ground.remade for network in current.config.networks)

    def _cause_of_absence(self) -> actions.Cause:
        if self.world.applied_before(self.desired):
            self.sketch.drift[self.key] = "was removed"
            return actions.Cause(Reason.DRIFTED, "was removed behind our back")
        return actions.Cause(Reason.MISSING, "not there yet")


def _order(declared: dict[str, container.ContainerConfig]) -> list[str]:
    """Sort by dependency, then by name. A cycle, which admission refuses, is no reason to fail: name it is then."""
    edges = {name: [dependency.container for dependency in config.depends_on] for name, config in declared.items()}
    try:
        return graph.order(edges, key=str)
    except ValueError:
        return sorted(declared)
