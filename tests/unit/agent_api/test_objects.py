"""What a status says of what runs: from the declaration and from what was observed."""

from agent.agent_api import objects, status
from agent.model import conditions, container, instances, ledger, state, suspension
from agent.model.key import Kind, ObjectKey
from tests import builders

WEB = ObjectKey(Kind.CONTAINER, "web")
PORT = container.PortMapping(8080, 80, container.TransportProtocol.TCP, "0.0.0.0")
CONFIG = builders.config(ports=(PORT,))
CONDITION = conditions.Condition(
    conditions.ConditionType.READY, conditions.ConditionStatus.TRUE, "Available", "as declared", 5.0
)


def object_of(desired: state.DesiredState, observed: state.ObservedState | None) -> status.Object:
    """Return the status of ``web``."""
    known = objects.ObjectFacts(lambda key: ledger.LedgerEntry(key, ""), suspension.Suspensions(), desired, observed)
    (item,) = objects.objects([conditions.ObjectStatus(WEB, "", (CONDITION,), "running")], known)
    return item


def test_container__declared_and_running__is_what_both_say() -> None:
    running = builders.observed(CONFIG, addresses=(("shop", "10.0.0.2"),), created_at=7.0)
    item = object_of(state.DesiredState.of("r1", (CONFIG,)), builders.world(running))
    assert item.created_at == 7.0
    assert item.container == status.ContainerStatus(
        builders.IMAGE, ("0.0.0.0:8080:80/tcp",), (("shop", "10.0.0.2"),), 1, 1
    )


def test_container__not_declared_any_more__has_no_desired_instance() -> None:
    item = object_of(state.DesiredState("r1"), builders.world(builders.observed(CONFIG)))
    assert item.container is not None
    assert (item.container.image, item.container.desired) == (builders.IMAGE, 0)


def test_container__declared_and_not_there__has_no_address_and_no_age() -> None:
    item = object_of(state.DesiredState.of("r1", (CONFIG,)), builders.world())
    assert item.created_at is None
    assert item.container is not None
    assert item.container.addresses == ()


def test_container__has_instances__each_says_how_many_are_ready_of_how_many() -> None:
    first, second, third = instances.expand([CONFIG], {"web": 3})
    desired = state.DesiredState.of("r1", (first, second, third))
    observed = builders.world(builders.observed(first), builders.observed(second, addresses=(("shop", "10.0.0.3"),)))
    statuses = [
        conditions.ObjectStatus(WEB.instance(ordinal), "", (CONDITION,) if ordinal < 2 else (), "running")
        for ordinal in range(3)
    ]
    facts = objects.ObjectFacts(lambda key: ledger.LedgerEntry(key, ""), suspension.Suspensions(), desired, observed)
    shown = [item.container for item in objects.objects(statuses, facts)]
    assert [(item.ordinal, item.ready, item.desired) for item in shown if item is not None] == [
        (0, 2, 3),
        (1, 2, 3),
        (2, 2, 3),
    ]
    assert [item.addresses for item in shown if item is not None] == [(), (("shop", "10.0.0.3"),), ()]


def test_container__its_replacement_is_there_too__is_the_one_that_has_the_name() -> None:
    replacement = builders.observed(CONFIG, name="web-next", created_at=9.0)
    item = object_of(state.DesiredState("r1"), builders.world(builders.observed(CONFIG, created_at=7.0), replacement))
    assert item.created_at == 7.0


def test_container__nothing_was_looked_at__says_nothing() -> None:
    item = object_of(state.DesiredState.of("r1", (CONFIG,)), None)
    assert (item.created_at, item.container) == (None, None)
