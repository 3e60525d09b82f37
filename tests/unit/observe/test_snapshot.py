"""One observed state: what the runtime lists, with the health of probes and the ledger, all sorted."""

from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import health, ledger
from agent.model.key import Kind, ObjectKey
from agent.observe import snapshot
from tests import builders


async def test_observe__what_is_there__is_sorted_with_its_health_and_the_ledger() -> None:
    around = world.World(clock.SystemClock())
    runtime = driver.runtime_in(around)
    await runtime.images.ensure(builders.image_config(), (), lambda _: None)
    for name in ("b", "a"):
        config = builders.config(name)
        await runtime.containers.create(config, name, builders.labels_for(config))
    # healthier ones sort first by their fields, and not by their ids
    answers = tuple(health.ObservedHealth(name, name == "z", False, True, "", None) for name in ("z", "y"))
    entries = tuple(ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, name), "", streak=1) for name in ("b", "a"))
    observer = snapshot.Observer(runtime, lambda: answers, clock.SystemClock())
    observed = await observer.observe(entries)
    around.close()
    assert [item.name for item in observed.containers] == ["a", "b"]
    assert [item.reference for item in observed.images] == [builders.IMAGE]
    assert [answer.container_id for answer in observed.health] == ["y", "z"]
    assert [entry.key.name for entry in observed.ledger] == ["a", "b"]
