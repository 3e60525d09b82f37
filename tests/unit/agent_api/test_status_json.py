"""The JSON of the status: what a command reads is what the agent has said."""

import dataclasses
import json

import pytest

from agent.agent_api import status, status_json
from agent.kit import notices
from agent.model import conditions
from agent.model.key import Kind, ObjectKey

CONDITIONS = tuple(
    conditions.Condition(type, conditions.ConditionStatus.TRUE, "Available", "as declared", 5.0)
    for type in sorted(conditions.ConditionType)
)
LATEST = status.LatestImageStatus("docker.io/library/nginx:1.27", "sha256:" + "a" * 64, 7.0, "")
CONTAINER = status.ContainerStatus(
    "docker.io/library/nginx:1.27", ("0.0.0.0:8080:80/tcp",), (("shop", "10.90.0.2"),), 1, 1
)
IMAGE = status.Object(
    ObjectKey(Kind.IMAGE, "docker.io/library/nginx:1"),
    CONDITIONS,
    "available",
    9.5,
    3,
    status.ImageStatus(("sha256:" + "b" * 64,), LATEST),
)
WHOLE = status.Status(
    status.AgentStatus(status.AgentState.STUCK, 12, 1.0, "0.1.0", "docker"),
    status.SourceStatus(
        "/srv", "r1", 2.0, 3.0, 4.0, status.LookResult.FAILED, 2.5, 3, "gone", True, ("a.yaml:1: no",), 9.0
    ),
    6.0,
    (
        IMAGE,
        status.Object(
            ObjectKey(Kind.CONTAINER, "web"), CONDITIONS, "running \udcff", None, 0, None, 8.0, 3.5, CONTAINER
        ),
        status.Object(
            ObjectKey(Kind.CONTAINER, "web").instance(1),
            *(CONDITIONS, "running", None, 0, None, None, None),
            dataclasses.replace(CONTAINER, ordinal=1),
        ),
    ),
    status.DiskStatus(100, 50, None),
    (status.Trouble(status.TroubleReason.AGENT_STUCK, "the agent is stuck"),),
    (notices.Notice(notices.NoticeReason.CLEAN_UP_FAILED, "container 4f1d", "busy", 1.0, 3, 9.0),),
)
EMPTY = status.Status(status.AgentStatus(status.AgentState.ABSENT), status.SourceStatus(), None, (), None, ())


@pytest.mark.parametrize("answer", [WHOLE, EMPTY, dataclasses.replace(WHOLE, objects=())])
def test_document__read_back__is_the_same(answer: status.Status) -> None:
    assert status_json.restore(json.loads(json.dumps(status_json.document(answer)))) == answer


def test_document__of_a_newer_agent_with_more_fields__is_read() -> None:
    read = status_json.document(WHOLE) | {"more": 1}
    read["lastLook"]["more"] = 2
    assert status_json.restore(read) == WHOLE


@pytest.mark.parametrize("read", [{}, {"version": 1}, [], {"agentState": "dancing"}])
def test_document__something_else__is_refused(read: object) -> None:
    with pytest.raises(ValueError, match="not a status"):
        status_json.restore(read)  # type: ignore[arg-type]


def test_document__keys_that_scripts_rely_on__are_there() -> None:
    read = status_json.document(WHOLE)
    assert {"revision", "source", "readAt", "appliedAt", "agent", "problems", "objects"} <= read.keys()
    assert {"object", "detail", "until", "restarts", "suspendedAt", "conditions", "image", "createdAt"} == (
        read["objects"][0].keys()
    )
    assert read["healthy"] is False


def test_document__of_an_agent_that_says_less_of_objects__is_read() -> None:
    read = status_json.document(WHOLE)
    for item in read["objects"]:
        item.pop("container", None)
        del item["createdAt"]
    restored = status_json.restore(read).objects[1]
    assert (restored.created_at, restored.container) == (None, None)


def test_document__of_an_agent_of_before_there_were_suspensions__is_read() -> None:
    read = status_json.document(WHOLE)
    del read["suspendedAt"], read["objects"][1]["suspendedAt"]
    restored = status_json.restore(read)
    assert (restored.source.suspended_at, restored.objects[1].suspended_at) == (None, None)
