"""What may be restarted, and the JSON of what has become of it."""

import json

import pytest

from agent.agent_api import names, restart
from agent.model import suspension
from agent.model.key import Kind, ObjectKey
from tests import builders

WEB, OLD = ObjectKey(Kind.CONTAINER, "web"), ObjectKey(Kind.CONTAINER, "old")
KEYS = {WEB, OLD, ObjectKey(Kind.NETWORK, "web"), ObjectKey(Kind.NETWORK, "shop")}
DESIRED = builders.desired(builders.config("web"), builders.network_config("web"))
NONE = suspension.Suspensions()
ANSWER = tuple(restart.Restart("Container/web", result, "why") for result in restart.Result)


def test_document__read_back__is_the_same() -> None:
    assert restart.restore(json.loads(json.dumps(restart.document(ANSWER)))) == ANSWER
    assert (restart.is_done(ANSWER), restart.is_done(ANSWER[:1])) == (False, True)


def test_document__something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="no restarts"):
        restart.restore({"restarts": [{"object": "web"}]})


def test_resolve__a_name_that_a_network_has_too__is_the_container() -> None:
    assert restart.resolve(("web", "container/web"), KEYS, DESIRED, NONE) == {WEB}


def test_resolve__declared_and_not_looked_at_yet__is_found_too() -> None:
    assert restart.resolve(("web",), (), DESIRED, NONE) == {WEB}


@pytest.mark.parametrize(
    ("name", "suspended", "message"),
    [
        ("shop", NONE, "Network/shop cannot be restarted: it is no container"),
        ("old", NONE, "Container/old is not restarted: it is no longer declared"),
        ("web", suspension.Suspensions(1.0), "Container/web is not restarted: it is suspended"),
    ],
)
def test_resolve__it_cannot_be__is_refused_with_the_reason(
    name: str, suspended: suspension.Suspensions, message: str
) -> None:
    with pytest.raises(restart.CannotRestart, match=f"^{message}"):
        restart.resolve((name,), KEYS, DESIRED, suspended)


def test_resolve__it_is_suspended__names_the_command_to_type() -> None:
    alone = suspension.Suspensions(None, (suspension.Suspension(WEB, 1.0),))
    with pytest.raises(restart.CannotRestart) as raised:
        restart.resolve(("web",), KEYS, DESIRED, alone)
    assert raised.value.hint == "trimtab resume Container/web, and restart it then"


def test_resolve__nothing_has_the_name__is_refused_with_similar_ones() -> None:
    with pytest.raises(names.UnknownObject, match="there is no object wbe"):
        restart.resolve(("wbe",), KEYS, DESIRED, NONE)
