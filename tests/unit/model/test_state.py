"""States are mappings by kind: total, sorted, equal where their objects are, and written down as they always were."""

import json

import pytest

from agent.kit import canonical
from agent.model import kinds, secret, state
from agent.model.key import OBJECTS, Kind
from agent.plan import stores as plan_stores
from agent.runtime import stores as runtime_stores
from tests import builders

CONFIGS = (
    builders.config("web"),
    builders.config("api"),
    builders.image_config(),
    builders.network_config("lan"),
    builders.volume_config("data"),
)
DESIRED = state.DesiredState.of("r1", CONFIGS, logins=(secret.Login("registry.example", "pull"),))
OBSERVED = builders.world(builders.observed(CONFIGS[0]), builders.observed_network(CONFIGS[3]))


def test_table__has_a_row_of_each_kind_that_a_runtime_has_objects_of() -> None:
    assert set(kinds.KINDS) == set(OBJECTS)
    assert len({traits.plural for traits in kinds.KINDS.values()}) == len(OBJECTS)
    assert list(kinds.KINDS)[-1] is Kind.CONTAINER  # it stands on all others


def test_desired_state__configs_in_any_order__is_the_same() -> None:
    assert state.DesiredState.of("r1", reversed(CONFIGS)) == state.DesiredState.of("r1", CONFIGS)
    assert [config.name for config in DESIRED.containers] == ["api", "web"]
    assert [state.key_of(config).kind for config in DESIRED] == [
        *(Kind.IMAGE, Kind.NETWORK, Kind.VOLUME, Kind.CONTAINER, Kind.CONTAINER)
    ]


def test_objects__of_a_kind_without_any__are_none_and_every_kind_is_there() -> None:
    objects = state.DesiredState("").objects
    assert dict(objects) == dict.fromkeys(kinds.KINDS, ())
    assert objects == kinds.ByKind()
    assert hash(objects) == hash(kinds.ByKind())


def test_with_objects__of_one_kind__leaves_the_others() -> None:
    changed = DESIRED.with_objects({Kind.CONTAINER: ()})
    assert changed.containers == ()
    assert (changed.images, changed.networks, changed.volumes) == (DESIRED.images, DESIRED.networks, DESIRED.volumes)
    assert changed.logins == DESIRED.logins


@pytest.mark.parametrize("value", [DESIRED, OBSERVED, state.DesiredState(""), state.ObservedState(1.0)])
def test_state__written_down_and_read__is_the_same(value: state.DesiredState | state.ObservedState) -> None:
    assert canonical.loads(type(value), canonical.dumps(value)) == value


def test_desired_state__is_written_with_its_kinds_side_by_side() -> None:
    """As journals of before states were mappings have it."""
    written = json.loads(canonical.dumps(DESIRED))
    assert set(written) == {"revision", "containers", "images", "networks", "volumes", "follows", "logins"}
    assert [container["name"] for container in written["containers"]] == ["api", "web"]
    assert canonical.plain(DESIRED) == written


def test_observed_state__nothing_is_suspended__is_written_without_that() -> None:
    assert set(json.loads(canonical.dumps(OBSERVED))) == {
        *("observed_at", "containers", "images", "networks", "volumes", "health", "ledger")
    }


def test_state__with_a_field_of_a_newer_release__is_refused() -> None:
    with pytest.raises(canonical.Unknown, match="replicas"):
        canonical.restore(state.DesiredState, {"revision": "r1", "replicas": []})


def test_each_kind__is_listed_by_the_runtime_and_planned() -> None:
    assert set(runtime_stores.STORES) == set(kinds.KINDS)
    assert set(plan_stores.PLANNERS) == set(kinds.KINDS) - {Kind.CONTAINER}
    assert list(plan_stores.PLANNERS) == [kind for kind in kinds.KINDS if kind is not Kind.CONTAINER]
