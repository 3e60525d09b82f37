"""The JSON of history and events: what a command reads is what the agent has answered."""

import json

import pytest

from agent.agent_api import past

GOOD = past.Revision("r1", "/srv", 1.0, 2.5, ())
BAD = past.Revision("r2", "/srv", 3.0, None, ("a.yaml:1:1: no",))
FAILED = past.Event(5.0, "Container/web", "StartContainer", "Exited", "failed", "no such program", 0.25, "r1")


def test_history__read_back__is_the_same() -> None:
    document = past.history_document((GOOD, BAD))
    assert [read["result"] for read in document["revisions"]] == ["applied", "rejected"]
    assert past.restore_history(json.loads(json.dumps(document))) == (GOOD, BAD)


def test_events__read_back_from_a_newer_agent__are_the_same() -> None:
    document = past.events_document((FAILED,))
    document["events"][0]["more"] = 1
    assert past.restore_events(json.loads(json.dumps(document))) == (FAILED,)


@pytest.mark.parametrize("read", [{}, [], {"revisions": [{}], "events": [{}]}])
def test_document__something_else__is_refused(read: object) -> None:
    with pytest.raises(ValueError, match="not a history"):
        past.restore_history(read)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no events"):
        past.restore_events(read)  # type: ignore[arg-type]
