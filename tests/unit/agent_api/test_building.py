"""The documents of builds, and back."""

import json

import pytest

from agent.agent_api import building
from agent.dockerfile import steps
from agent.kit import canonical
from agent.runtime import build_orders

ORDER = build_orders.Order(
    references=("a:1", "b:2"),
    source=build_orders.decoded(b"FROM scratch\n# \xff\n"),
    dockerfile="/app/Dockerfile",
    context="/app",
    target="end",
    platform="linux/arm64",
    build_args=(("A", "1"),),
    labels=(("l", "v"),),
    contexts=(("other", "/other"), ("image", "docker-image://x")),
    secrets=(build_orders.secret("key", b"\x00hidden"),),
    ssh=(("default", "/run/agent"),),
    cache_from=("a:c",),
    cache_to=("type=registry,ref=a:c,mode=max",),
    output="tar",
    output_path="/tmp/out.tar",
    uses_cache=False,
    pulls=True,
    network="none",
    epoch=7,
)


@pytest.mark.parametrize("order", [ORDER, build_orders.Order(source="FROM scratch")], ids=["whole", "least"])
def test_order__sent__is_what_it_was(order: build_orders.Order) -> None:
    assert building.order(json.loads(json.dumps(canonical.plain(order)))) == order


def test_order__defaults__are_not_sent() -> None:
    assert canonical.plain(build_orders.Order(source="x")) == {"source": "x"}


def test_order__shown__has_no_secret() -> None:
    assert "secret" not in repr(ORDER)
    assert build_orders.secret("key", b"\x00hidden")[1] not in repr(ORDER)


@pytest.mark.parametrize("document", [None, [], {}, {"source": 1}, {"source": "x", "nonsense": 1}])
def test_order__that_is_none__is_refused(document: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        building.order(document)


PLACE = build_orders.Place(2, 5, "what", "hint")


@pytest.mark.parametrize(
    "line",
    [
        steps.StepBegun(1, "[1/2] FROM x"),
        steps.StepOutput(1, b"half a letter: \xc3"),
        steps.StepEnded(1, 0.5),
        steps.StepEnded(2, 0.5, is_cached=True),
        steps.StepEnded(3, 0.5, error="exit code 1"),
        build_orders.Built(("a:1",), "sha256:1", ("a note",)),
        build_orders.Failed((PLACE,), ("last", "words"), "line 2: what", "hint"),
        build_orders.Failed((), (), "the disk is full", ""),
    ],
    ids=repr,
)
def test_line__sent__is_what_it_was(line: building.Line) -> None:
    assert building.restore(json.loads(json.dumps(building.document(line)))) == line


@pytest.mark.parametrize(
    "document", [None, [], {}, {"event": "begun"}, {"event": "danced"}, {"event": "failed", "places": 1}, {"event": 1}]
)
def test_line__that_is_none__is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        building.restore(document)
