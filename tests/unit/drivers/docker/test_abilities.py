"""What each engine is known not to be able to do."""

import pytest

from agent.drivers.docker import abilities
from agent.model.abilities import Ability


@pytest.mark.parametrize(
    ("flavour", "local", "lacking"),
    [
        ("podman", True, {Ability.NETWORK_WITHOUT_DNS}),
        ("podman", False, {Ability.NETWORK_WITHOUT_DNS, Ability.NETWORK_PROBES}),
        ("docker", False, set(Ability) - {Ability.IMAGE_CONTENT}),
        ("docker", True, set(Ability) - {Ability.NETWORK_PROBES, Ability.IMAGE_CONTENT}),
    ],
)
def test_lacking__by_engine_and_place(flavour: str, local: bool, lacking: set[Ability]) -> None:
    assert {ability for ability, _ in abilities.lacking(flavour, local=local)} == lacking
