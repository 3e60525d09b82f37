"""The JSON of descriptions, and what a name that no object has is answered with."""

import json

import pytest

from agent.agent_api import descriptions, names, past
from tests.unit.agent_api import test_status_json

EVENT = past.Event(5.0, "Image/x", "EnsureImage", "Missing", "succeeded", "", 0.25, "r1")
FIELDS = (("reference", ("x",)), ("ports", ("1", "2")))
WHOLE = descriptions.Description(test_status_json.IMAGE, FIELDS, ("sha256:1",), (EVENT,))
BARE = descriptions.Description(test_status_json.IMAGE, None, (), ())


@pytest.mark.parametrize(
    "answer", [descriptions.Answer((WHOLE, BARE)), descriptions.Answer((), ("Container/web", "Network/web"))]
)
def test_document__read_back__is_the_same(answer: descriptions.Answer) -> None:
    assert descriptions.restore(json.loads(json.dumps(descriptions.document(answer)))) == answer


@pytest.mark.parametrize("read", [{}, [], {"objects": [{}], "nearest": []}])
def test_document__something_else__is_refused(read: object) -> None:
    with pytest.raises(ValueError, match="no descriptions"):
        descriptions.restore(read)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nearest", "hint"),
    [
        (
            ("Container/web", "Network/web"),
            "did you mean Container/web or Network/web? trimtab status lists every object",
        ),
        ((), "trimtab status lists every object"),
    ],
)
def test_checked__no_object_has_the_name__says_which_ones_are_near(nearest: tuple[str, ...], hint: str) -> None:
    with pytest.raises(names.UnknownObject, match="there is no object wbe") as caught:
        descriptions.Answer((), nearest).checked("wbe")
    assert caught.value.hint == hint
