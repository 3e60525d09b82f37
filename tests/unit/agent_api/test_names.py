"""Objects by the names that people type."""

import pytest

from agent.agent_api import names
from agent.model.key import Kind, ObjectKey

WEB = ObjectKey(Kind.CONTAINER, "web")
NGINX = ObjectKey(Kind.IMAGE, "docker.io/library/nginx:1")
KEYS = (WEB, ObjectKey(Kind.CONTAINER, "worker"), ObjectKey(Kind.NETWORK, "web"), NGINX)


@pytest.mark.parametrize("text", ["web", "Container/web", "container/web", "CONTAINER/web"])
def test_is_named__by_name_or_by_kind_and_name__is_so(text: str) -> None:
    assert names.is_named(WEB, text)


@pytest.mark.parametrize("text", ["", "we", "Web", "Network/web", "container/", "Container/Web", "pod/web"])
def test_is_named__by_something_else__is_not(text: str) -> None:
    assert not names.is_named(WEB, text)


def test_is_named__a_name_with_slashes__is_no_kind() -> None:
    assert names.is_named(NGINX, "docker.io/library/nginx:1")
    assert names.is_named(NGINX, "image/docker.io/library/nginx:1")


@pytest.mark.parametrize(("text", "named"), [("web", [0, 1, 2]), ("web-1", [1]), ("container/web-2", [2])])
def test_is_named__an_object_with_instances__is_all_of_them(text: str, named: list[int]) -> None:
    assert [ordinal for ordinal in range(3) if names.is_named(WEB.instance(ordinal), text)] == named


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("wbe", ("Network/web",)),
        ("worker1", ("Container/worker",)),
        ("Container/wep", ("Container/web", "Container/worker")),
        ("nothing-like-it", ()),
    ],
)
def test_nearest__of_a_wrong_name__are_similar_ones(text: str, nearest: tuple[str, ...]) -> None:
    assert names.nearest(text, KEYS)[: len(nearest) or None] == nearest


def test_resolve__a_name_that_two_kinds_have__is_both() -> None:
    assert names.resolve(["web", "container/worker"], KEYS) == {*KEYS[:3]}


def test_resolve__one_of_them_is_unknown__is_refused_with_similar_ones() -> None:
    with pytest.raises(names.UnknownObject, match="there is no object wrker") as raised:
        names.resolve(["web", "wrker"], KEYS)
    assert raised.value.hint == "did you mean Container/worker? trimtab status lists every object"
