"""The JSON of ``/v1/status`` and of ``trimtab status --output json``, and the way back. Pure.

Fields are added, never renamed or removed: ``ops/docs/command-line.md`` documents them. What a reader does not
know is passed over, so that a command understands a newer agent.
"""

from typing import Any

from agent.agent_api import status
from agent.kit import notices
from agent.model import conditions, key

Json = dict[str, Any]
VERSION = 1


def document(answer: status.Status) -> Json:
    """Return the JSON document."""
    agent, source, disk = answer.agent, answer.source, answer.disk
    return {
        "version": VERSION,
        "healthy": answer.is_well,
        "troubles": [{"reason": trouble.reason.value, "message": trouble.message} for trouble in answer.troubles],
        "agent": agent.pid,
        "agentState": agent.state.value,
        "agentSince": agent.since,
        "agentVersion": agent.version or None,
        "runtime": agent.runtime or None,
        "source": source.location,
        "revision": source.revision,
        "readAt": source.read_at,
        "appliedAt": source.applied_at,
        "declaresNothing": source.declares_nothing,
        "suspendedAt": source.suspended_at,
        "lastLook": {
            "at": source.looked_at,
            "result": source.result.value,
            "message": source.message,
            "failures": source.failures,
            "succeededAt": source.succeeded_at,
        },
        "problems": list(source.problems),
        "disk": None
        if disk is None
        else {"size": disk.size, "available": disk.available, "filesAvailable": disk.files_available},
        "notices": [_notice(notice) for notice in answer.notices],
        "observedAt": answer.observed_at,
        "objects": [object_document(item) for item in answer.objects],
    }


def restore(read: Json) -> status.Status:
    """Return the status of a document. Raises ``ValueError`` for one that is none."""
    try:
        return _restored(read)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a status: {type(error).__name__}: {error}") from error


def _restored(read: Json) -> status.Status:
    look, disk = read["lastLook"], read["disk"]
    return status.Status(
        status.AgentStatus(
            status.AgentState(read["agentState"]),
            read["agent"],
            read["agentSince"],
            read["agentVersion"] or "",
            read["runtime"] or "",
        ),
        status.SourceStatus(
            location=read["source"],
            revision=read["revision"],
            read_at=read["readAt"],
            applied_at=read["appliedAt"],
            looked_at=look["at"],
            result=status.LookResult(look["result"]),
            succeeded_at=look["succeededAt"],
            failures=look["failures"],
            message=look["message"],
            declares_nothing=read["declaresNothing"],
            problems=tuple(read["problems"]),
            suspended_at=read.get("suspendedAt"),
        ),
        read["observedAt"],
        tuple(restore_object(item) for item in read["objects"]),
        None if disk is None else status.DiskStatus(disk["size"], disk["available"], disk["filesAvailable"]),
        tuple(
            status.Trouble(status.TroubleReason(trouble["reason"]), trouble["message"]) for trouble in read["troubles"]
        ),
        tuple(_restored_notice(notice) for notice in read.get("notices", ())),
    )


def _notice(notice: notices.Notice) -> Json:
    return {
        "reason": notice.reason.value,
        "subject": notice.subject,
        "message": notice.message,
        "since": notice.since,
        "attempts": notice.attempts,
        "retryAt": notice.retry_at,
    }


def _restored_notice(read: Json) -> notices.Notice:
    return notices.Notice(
        notices.NoticeReason(read["reason"]),
        read["subject"],
        read["message"],
        read["since"],
        read["attempts"],
        read["retryAt"],
    )


def object_document(item: status.Object) -> Json:
    """Return the JSON of one object's status."""
    return {
        "object": str(item.key),
        "detail": item.detail,
        "until": item.until,
        "restarts": item.restarts,
        "suspendedAt": item.suspended_at,
        "conditions": [
            {
                "type": condition.type.value,
                "status": condition.status.value,
                "reason": condition.reason,
                "message": condition.message,
                "since": condition.since,
            }
            for condition in item.conditions
        ],
        "createdAt": item.created_at,
        **({} if item.image is None else {"image": _image(item.image)}),
        **({} if item.container is None else {"container": _container(item.container)}),
    }


def restore_object(read: Json) -> status.Object:
    """Return the status of one object of a document. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    kind, _, name = read["object"].partition("/")
    container = _restored_container(read["container"]) if "container" in read else None
    return status.Object(
        key.ObjectKey(key.Kind(kind), name, 0 if container is None else container.ordinal),
        restore_conditions(read["conditions"]),
        read["detail"],
        read["until"],
        read["restarts"],
        _restored_image(read["image"]) if "image" in read else None,
        read.get("suspendedAt"),
        read.get("createdAt"),
        container,
    )


def _container(answer: status.ContainerStatus) -> Json:
    return {
        "image": answer.image,
        "ports": list(answer.ports),
        "addresses": [{"network": network, "address": address} for network, address in answer.addresses],
        "ordinal": answer.ordinal,
        "instances": {"ready": answer.ready, "desired": answer.desired},
    }


def _restored_container(read: Json) -> status.ContainerStatus:
    return status.ContainerStatus(
        read["image"],
        tuple(read["ports"]),
        tuple((attachment["network"], attachment["address"]) for attachment in read["addresses"]),
        read["instances"]["ready"],
        read["instances"]["desired"],
        read.get("ordinal", 0),  # agents of before have none
    )


def restore_conditions(read: list[Json]) -> tuple[conditions.Condition, ...]:
    """Return an object's conditions of a document. Raises as ``restore_object``."""
    return tuple(
        conditions.Condition(
            conditions.ConditionType(condition["type"]),
            conditions.ConditionStatus(condition["status"]),
            condition["reason"],
            condition["message"],
            condition["since"],
        )
        for condition in read
    )


def _image(image: status.ImageStatus) -> Json:
    latest = image.latest
    return {
        "digests": list(image.digests),
        "newest": None
        if latest is None
        else {
            "reference": latest.reference or None,
            "digest": latest.digest or None,
            "checkedAt": latest.checked_at,
            "problem": latest.problem or None,
        },
    }


def _restored_image(read: Json) -> status.ImageStatus:
    latest = read["newest"]
    return status.ImageStatus(
        tuple(read["digests"]),
        None
        if latest is None
        else status.LatestImageStatus(
            latest["reference"] or "", latest["digest"] or "", latest["checkedAt"], latest["problem"] or ""
        ),
    )
