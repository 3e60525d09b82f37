"""Names of base images for other platforms than this host's."""

import pytest

from agent.engine.build import bases
from agent.oci import platform, reference


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alpine:3.20", "docker.io/library/alpine:3.20_linux_arm_v7"),
        ("alpine", "docker.io/library/alpine:latest_linux_arm_v7"),
        ("example.org:5/a/b@sha256:" + "0a" * 32, "example.org:5/a/b:" + "0a" * 16 + "_linux_arm_v7"),
        ("a:" + "x" * 128, "docker.io/library/a:" + "x" * 115 + "_linux_arm_v7"),
    ],
)
def test_foreign_name__is_a_name_of_the_repository_that_says_its_platform(name: str, expected: str) -> None:
    own = bases.foreign_name(reference.parse(name), platform.parse("linux/arm/v7"))
    assert own == expected
    assert str(reference.parse(own)) == own
