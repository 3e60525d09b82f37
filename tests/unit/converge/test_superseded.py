"""A commit while the one before is under way, over the memory runtime: nothing stays down."""

import dataclasses

import pytest

from agent import errors
from agent.converge import signals
from agent.model import container, image, state
from agent.model.key import Kind, ObjectKey, Pairs
from agent.runtime import api
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime

BAD = "docker.io/library/app:none"


@dataclasses.dataclass
class Declared:
    """The current declaration."""

    containers: tuple[container.ContainerConfig, ...]

    def __call__(self) -> state.DesiredState:
        """Return the sample as a desired state."""
        return conftest.declare(*self.containers)


@dataclasses.dataclass(frozen=True)
class WithoutTag:
    """An image store whose registry has no ``BAD``."""

    real: api.Images

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull it, unless it is the bad one."""
        if config.reference == BAD:
            raise errors.NotFound("there is no such tag", reason="ImageNotFound")
        return await self.real.ensure(config, labels, progress, pinned)


@dataclasses.dataclass(frozen=True)
class Recording:
    """Containers that remember how they were stopped."""

    real: api.Containers
    stops: list[container.StopConfig]

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Stop it, and remember how."""
        self.stops.append(stop)
        await self.real.stop(ref, stop)


def converged(stage: conftest.Stage) -> bool:
    passes = stage.of(signals.PassFinished)
    return bool(passes) and passes[-1].converged


@pytest.mark.parametrize("policy", container.RestartPolicy)
async def test_bad_tag_while_the_old_one_is_stopping__the_old_one_runs_again(
    stage: conftest.Stage, until: conftest.Until, policy: container.RestartPolicy
) -> None:
    images = WithoutTag(stage.parts.runtime.images)
    stage.parts = dataclasses.replace(stage.parts, runtime=dataclasses.replace(stage.parts.runtime, images=images))
    restart = container.RestartConfig(policy, container.BackoffConfig(1.0, 60.0, 600.0))
    web = builders.config("web", restart=restart)
    declared = Declared((web,))
    async with stage.going(declared) as going:
        await until(lambda: converged(stage))
        stage.world.delay("containers.stop", 8.0)
        declared.containers = (dataclasses.replace(web, args=("two",)),)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: ("containers.stop", "web") in stage.world.calls)
        declared.containers = (dataclasses.replace(web, image=BAD),)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.world.calls.count(("containers.start", "web")) == 2, patience=30)
        declared.containers = (dataclasses.replace(web, args=("three",)),)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: converged(stage) and len(stage.states()) == 1, patience=60)
        (running,) = stage.world.containers.values()
        assert (running.config.args, running.state) == (("three",), container.ContainerState.RUNNING)
    entry = stage.parts.book.entry(ObjectKey(Kind.CONTAINER, "web"))
    assert (entry.streak, entry.restarts, entry.restarting) == (0, (), False), "none of that was a failure"


async def test_grace_declared_after_it_was_made__holds_for_its_removal(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    stops: list[container.StopConfig] = []
    roles = dataclasses.replace(stage.parts.runtime, containers=Recording(stage.parts.runtime.containers, stops))
    stage.parts = dataclasses.replace(stage.parts, runtime=roles)
    web, other = builders.config("web"), builders.config("other")
    declared = Declared((web, other))
    async with stage.going(declared) as going:
        await until(lambda: converged(stage))
        patient = container.StopConfig("SIGINT", 120.0)
        declared.containers = (dataclasses.replace(web, stop=patient), other)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: converged(stage) and stage.world.find("web").config.stop == patient)
        assert stops == []
        declared.containers = (other,)
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: list(stage.states()) == ["other"])
    assert stops == [patient]
