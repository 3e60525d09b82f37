"""What a runtime cannot do is refused by the call that asks for it, in the runtime's words."""

from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import image
from agent.model.features import Feature
from agent.runtime import api
from tests import builders


def test_require__unsupported__says_which_runtime_and_why() -> None:
    features = api.Features("podman", frozenset(), ((Feature.PROCESSES, "the engine is on another host"),))
    features.require(Feature.CONTAINER_FILES)
    with pytest.raises(errors.InvalidArgument) as caught:
        features.require(Feature.PROCESSES)
    assert caught.value.message == "not over podman: the engine is on another host"
    assert caught.value.reason == "Unsupported"


async def test_files__of_simulated_containers__are_refused_as_the_table_says() -> None:
    simulated = world.World(clock.SystemClock())
    runtime = driver.runtime_in(simulated)
    assert Feature.CONTAINER_FILES in dict(runtime.features.unsupported)
    config = image.ImageConfig(builders.IMAGE, builders.IMAGE, image.PullSource(""))
    await runtime.images.ensure(config, (), lambda _: None)
    await runtime.containers.create(builders.config(), "web", ())
    with pytest.raises(errors.InvalidArgument) as caught:
        runtime.containers.copy_out("web", "/")
    assert caught.value.reason == "Unsupported"
    with pytest.raises(errors.InvalidArgument) as caught:
        await runtime.containers.copy_in("web", "/", nothing())
    assert caught.value.reason == "Unsupported"


async def nothing() -> AsyncIterator[bytes]:
    """Return no archive."""
    yield b""
