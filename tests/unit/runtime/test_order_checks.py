"""What an order of a build may say, whoever has sent it."""

import dataclasses
from typing import Any

import pytest

from agent.runtime import build_orders, order_checks
from tests.unit.agent_api import test_building

LEAST = build_orders.Order(source="FROM scratch")


def test_checked__sound_orders__are_as_they_were() -> None:
    assert order_checks.checked(LEAST) == LEAST
    whole = dataclasses.replace(test_building.ORDER, ssh=(("default", "/run/agent"),))
    names = ("docker.io/library/a:1", "docker.io/library/b:2")
    assert order_checks.checked(whole) == dataclasses.replace(whole, references=names)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"references": ("!!",)}, "!!"),
        ({"references": ("localhost/x\0:1",)}, "references has a NUL"),
        ({"references": ("../../etc/x",)}, "is no name of a registry"),
        ({"references": ("a\nb",)}, "a"),
        ({"references": ("",)}, "is no name of a repository"),
        ({"references": ("a" * 100_000,)}, "a"),
        ({"references": ("localhost/x@sha256:" + "a" * 64,)}, "has a digest"),
        ({"references": tuple(f"a:{number}" for number in range(101))}, "references are more than 100"),
        ({"source": "FROM \ud800"}, "source has surrogates that stand for no bytes"),
        ({"labels": (("a", "\ud800"),)}, "labels has surrogates"),
        ({"build_args": (("A\0", "1"),)}, "build_args has a NUL"),
        ({"context": "."}, "context is no absolute path"),
        ({"context": "/" + "a" * 5000}, "context is no absolute path of a usual length"),
        ({"dockerfile": "Dockerfile"}, "dockerfile is no absolute path"),
        ({"contexts": (("x", "srv"),)}, "contexts is no absolute path"),
        ({"ssh": (("x", "agent"),)}, "ssh is no absolute path"),
        ({"secrets": (("key", "\u00e9"),)}, "the secret 'key' is no base64"),
        ({"secrets": (("key", "!"),)}, "the secret 'key' is no base64"),
        ({"network": "weird"}, "network is none of default, host, none"),
        ({"epoch": -1}, "epoch is no number of seconds"),
        ({"epoch": 10**30}, "epoch is no number of seconds"),
        ({"platform": "x"}, "'x' is no platform"),
        ({"platform": "windows/amd64"}, "an image for Windows"),
        ({"output": "oci", "output_path": "/x"}, "output is none of local and tar"),
        ({"output": "tar"}, "output_path is no absolute path"),
        ({"cache_from": ("A b",)}, "A b"),
        ({"cache_to": ("type=gha",)}, "type=gha is not built"),
    ],
)
def test_checked__what_cannot_be__is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        order_checks.checked(dataclasses.replace(LEAST, **fields))
