"""What each engine is known not to be able to do."""

import pytest

from agent.drivers.docker import unsupported_features
from agent.model.features import Feature

OF_PODMAN = {Feature.NETWORK_WITHOUT_DNS, Feature.ADMITTED_BUILDS, Feature.BUILD_CACHES}
OF_EVERY_ENGINE = {Feature.IMAGE_CONTENT, Feature.CONTAINER_FILES, Feature.PROCESSES, Feature.BUILDS}


@pytest.mark.parametrize(
    ("flavour", "local", "expected"),
    [
        ("podman", True, OF_PODMAN),
        (
            "podman",
            False,
            OF_PODMAN | {Feature.NETWORK_PROBES, Feature.PROCESSES},
        ),
        ("docker", False, set(Feature) - OF_EVERY_ENGINE),
        ("docker", True, set(Feature) - OF_EVERY_ENGINE - {Feature.NETWORK_PROBES}),
    ],
)
def test_of__flavour_and_host__names_what_is_unsupported(flavour: str, local: bool, expected: set[Feature]) -> None:
    assert {feature for feature, _ in unsupported_features.of(flavour, local=local)} == expected
