"""JSON Schemas (2020-12) of the documents that the API answers. Pure; enumerations are the code's own.

Fields are added, never renamed or removed: so no schema forbids what it does not name.
"""

import enum
from collections.abc import Iterable
from typing import Any

from agent.agent_api import restart, server, status
from agent.converge import once, signals
from agent.kit import notices
from agent.model import conditions
from agent.plan import plan

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number", "minimum": 0, "description": "Seconds."}
_MOMENT: Schema = {"type": "number", "description": "Seconds since the epoch."}
_OBJECT: Schema = {"type": "string", "examples": ["Container/web"], "description": "Kind and name."}
_REASON: Schema = {"type": "string", "description": "A word in CamelCase, from a bounded set."}
_VERSION: Schema = {"const": 1, "description": "The version of the document's form."}


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _nullable(schema: Schema, description: str = "") -> Schema:
    kinds = [schema, {"type": "null"}]
    return {"anyOf": kinds, "description": description} if description else {"anyOf": kinds}


def _array(items: Schema, description: str = "") -> Schema:
    return {"type": "array", "items": items, **({"description": description} if description else {})}


def _record(fields: Schema, optional: Iterable[str] = ()) -> Schema:
    """Return the schema of an object with those fields, all of them required but the optional ones."""
    required = [name for name in fields if name not in set(optional)]
    return {"type": "object", "properties": fields, "required": required}


def _words(kind: type[enum.StrEnum]) -> Schema:
    return {"enum": [member.value for member in kind]}


_WITHHELD: Schema = _record(
    {
        "change": {"enum": ["create", "change", "replace", "remove"]},
        "causes": _array(_record({"reason": _REASON, "message": _TEXT, "fields": _array(_TEXT)})),
    }
)


def reference(name: str) -> Schema:
    """Return the reference to a schema of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


_STATUS_OF_OBJECT: Schema = {
    "object": _OBJECT,
    "detail": _described(_TEXT, "How it is, in a few words."),
    "until": _nullable(_MOMENT, "When it is tried again by itself."),
    "restarts": _described(_COUNT, "How often it was started again after a failure."),
    "suspendedAt": _nullable(_MOMENT, "Since when it is suspended, by itself or with the source."),
    "conditions": _array(reference("Condition")),
    "createdAt": _nullable(_MOMENT, "When it was created on the host."),
    "image": reference("ImageStatus"),
    "container": reference("ContainerStatus"),
}

_PAIRS: Schema = _array({"type": "array", "prefixItems": [_TEXT, _TEXT], "minItems": 2, "maxItems": 2})
_PLACE: Schema = _record({"line": _COUNT, "column": _COUNT, "message": _TEXT, "hint": _TEXT})
_BUILD_ORDER: Schema = {
    "references": _array(_TEXT, "Names of the image; without one it is not kept."),
    "source": _described(
        _TEXT, "The Dockerfile's text; bytes that are no UTF-8 as lone surrogates (U+DC80 to U+DCFF)."
    ),
    "dockerfile": _described(_TEXT, "Its absolute path; empty: it is no file."),
    "context": _described(_TEXT, "An absolute path; empty: there are no files to copy."),
    "target": _described(_TEXT, "A stage's name or number."),
    "platform": _described(_TEXT, "os/arch[/variant]."),
    "build_args": _described(_PAIRS, "Values of ARG."),
    "labels": _PAIRS,
    "contexts": _described(_PAIRS, "Named contexts: absolute paths, or docker-image://REFERENCE."),
    "secrets": _described(_PAIRS, "Values by id, in base64."),
    "ssh": _described(_PAIRS, "Sockets of ssh agents by id."),
    "uses_cache": _FLAG,
    "pulls": _described(_FLAG, "Registries are asked again for base images."),
    "cache_from": _described(_array(_TEXT), "Caches in registries: REFERENCE, or type=registry,ref=REFERENCE."),
    "cache_to": _described(_array(_TEXT), "The same, with mode=min|max."),
    "output": _described({"enum": ["", "local", "tar"]}, "Files of the last stage are written."),
    "output_path": _described(_TEXT, "An absolute path."),
    "network": {"enum": ["default", "none", "host"]},
    "epoch": _nullable({"type": "integer"}, "SOURCE_DATE_EPOCH."),
}
_STEP: Schema = _described(_COUNT, "The step's number, unique in its build.")

SCHEMAS: dict[str, Schema] = {
    "BuildLine": {
        "oneOf": [
            _record({"event": {"const": "begun"}, "step": _STEP, "title": _TEXT}),
            _record({"event": {"const": "output"}, "step": _STEP, "text": _TEXT}),
            _record(
                {
                    "event": {"const": "ended"},
                    "step": _STEP,
                    "seconds": _SECONDS,
                    "cached": _FLAG,
                    "error": _nullable(_TEXT),
                }
            ),
            _record(
                {
                    "event": {"const": "built"},
                    "references": _array(_TEXT),
                    "id": _TEXT,
                    "notes": _array(_TEXT, "What is likely meant otherwise."),
                }
            ),
            _record(
                {
                    "event": {"const": "failed"},
                    "places": _array(_PLACE, "In the Dockerfile; none: it did not fail because of that."),
                    "output": _array(_TEXT, "The last lines that the step has printed."),
                    "message": _TEXT,
                    "hint": _TEXT,
                }
            ),
        ]
    },
    "BuildOrder": _record(_BUILD_ORDER, optional=set(_BUILD_ORDER) - {"source"}),
    "Condition": _record(
        {
            "type": _words(conditions.ConditionType),
            "status": _words(conditions.ConditionStatus),
            "reason": _REASON,
            "message": _TEXT,
            "since": _described(_MOMENT, "When the status last changed, in seconds since the epoch."),
        }
    ),
    "ContainerStatus": _record(
        {
            "image": _TEXT,
            "ports": _array({"type": "string", "examples": ["0.0.0.0:8080:80/tcp"]}, "Published ones."),
            "addresses": _array(_record({"network": _TEXT, "address": _TEXT})),
            "ordinal": _described(_COUNT, "Which instance of its object it is."),
            "instances": _described(
                _record({"ready": _COUNT, "desired": _COUNT}), "Of its object, this instance and others."
            ),
        }
    ),
    "ImageStatus": _record(
        {
            "digests": _array(_TEXT),
            "newest": _nullable(
                _record(
                    {
                        "reference": _nullable(_TEXT),
                        "digest": _nullable(_TEXT),
                        "checkedAt": _MOMENT,
                        "problem": _nullable(_TEXT, "Why the registry did not say the last time."),
                    }
                ),
                "What the registry has, for an Image with an update policy.",
            ),
        }
    ),
    "ObjectStatus": _record(_STATUS_OF_OBJECT, optional=["image", "container"]),
    "Status": _record(
        {
            "version": _VERSION,
            "healthy": _described(_FLAG, "Nothing is wrong, and every object is ready or stays on purpose."),
            "troubles": _array(_record({"reason": _words(status.TroubleReason), "message": _TEXT})),
            "agent": _nullable(_COUNT, "The process that works on this instance."),
            "agentState": _words(status.AgentState),
            "agentSince": _nullable(_MOMENT),
            "agentVersion": _nullable(_TEXT),
            "runtime": _nullable(_TEXT),
            "source": _nullable(_TEXT),
            "revision": _nullable(_TEXT, "The last good revision."),
            "readAt": _nullable(_MOMENT),
            "appliedAt": _nullable(_MOMENT),
            "declaresNothing": _FLAG,
            "suspendedAt": _nullable(_MOMENT, "Since when the whole source is suspended."),
            "lastLook": _record(
                {
                    "at": _nullable(_MOMENT),
                    "result": _words(status.LookResult),
                    "message": _TEXT,
                    "failures": _described(_COUNT, "Looks in a row that failed."),
                    "succeededAt": _nullable(_MOMENT),
                }
            ),
            "problems": _array(_TEXT, "Of the manifests, each with path, line and column."),
            "disk": _nullable(
                _record({"size": _COUNT, "available": _COUNT, "filesAvailable": _nullable(_COUNT)}),
                "The file system of the root, in bytes.",
            ),
            "notices": _array(
                _record(
                    {
                        "reason": _words(notices.NoticeReason),
                        "subject": _TEXT,
                        "message": _TEXT,
                        "since": _MOMENT,
                        "attempts": _COUNT,
                        "retryAt": _nullable(_MOMENT),
                    }
                )
            ),
            "observedAt": _nullable(_MOMENT),
            "objects": _array(reference("ObjectStatus")),
        }
    ),
    "Event": _record(
        {
            "at": _described(_MOMENT, "When it ended, in seconds since the epoch."),
            "object": _described(_TEXT, "Kind and name; Source for the whole source."),
            "action": _described(_TEXT, "As StartContainer, or Suspend."),
            "reason": _REASON,
            "result": _words(signals.Result),
            "error": _TEXT,
            "duration": _SECONDS,
            "revision": _described(_TEXT, "The revision that was to be applied; empty where that is not recorded."),
        }
    ),
    "Events": _record({"version": _VERSION, "events": _array(reference("Event"), "The last one at the end.")}),
    "History": _record(
        {
            "version": _VERSION,
            "revisions": _array(
                _record(
                    {
                        "revision": _TEXT,
                        "source": _TEXT,
                        "readAt": _MOMENT,
                        "appliedAt": _nullable(_MOMENT),
                        "result": {"enum": ["applied", "not applied", "rejected"]},
                        "problems": _array(_TEXT),
                        "inputsChanged": _described(
                            _FLAG, "The files are those before; env files, archives, contexts or settings have changed."
                        ),
                    }
                ),
                "One for each reading that changed what stands, or was rejected; the last one at the end.",
            ),
        }
    ),
    "Descriptions": _record(
        {
            "version": _VERSION,
            "objects": _array(
                _record(
                    {
                        **_STATUS_OF_OBJECT,
                        "declared": _nullable(
                            {"type": "object", "additionalProperties": _array(_TEXT)},
                            "The declaration in short; null where it is not declared.",
                        ),
                        "digests": _array(_TEXT),
                        "events": _array(reference("Event")),
                    },
                    optional=["image", "container"],
                )
            ),
            "nearest": _array(_OBJECT, "Objects with similar names, where none has the name."),
        }
    ),
    "Plan": _record(
        {
            "version": _VERSION,
            "problems": _array(_TEXT, "Of the manifests; where there are any, plan is empty."),
            "declaresNothing": _FLAG,
            "hasObjects": _described(_FLAG, "Anything is declared, or there."),
            "empty": _described(_FLAG, "Nothing is to be done now."),
            "lines": _array(_record({"style": _TEXT, "text": _TEXT}), "The plan as people read it."),
            "plan": {
                "type": "object",
                "properties": {
                    "revision": _TEXT,
                    "steps": _array(
                        _record(
                            {
                                "id": _COUNT,
                                "action": _described(_TEXT, "As StartContainer."),
                                "object": _OBJECT,
                                "reason": _REASON,
                                "message": _TEXT,
                                "fields": _array(_TEXT),
                                "after": _array(_COUNT, "Steps that have to succeed before."),
                            }
                        )
                    ),
                    "blocked": _array(
                        _record(
                            {
                                "object": _OBJECT,
                                "reason": _REASON,
                                "message": _TEXT,
                                "until": _nullable(_MOMENT),
                                "would": _nullable(_WITHHELD, "What is done once it is resumed; null: nothing is."),
                            },
                            optional=["would"],
                        )
                    ),
                    "buckets": {"type": "object", "additionalProperties": _words(plan.Bucket)},
                    "drift": {"type": "object", "additionalProperties": _TEXT},
                    "wakeAt": _nullable(_MOMENT),
                    "retained": _array(_OBJECT),
                    "uncompared": _described(
                        {"type": "object", "additionalProperties": _TEXT},
                        "Whose values of Secrets cannot be compared, and why.",
                    ),
                },
            },
        }
    ),
    "Application": _record(
        {
            "version": _VERSION,
            "outcome": _words(once.Outcome),
            "revision": _TEXT,
            "timedOut": _FLAG,
            "nothingHere": _FLAG,
            "declaresNothing": _FLAG,
            "appliedAt": _nullable(_MOMENT, "When all of the revision had been brought about."),
            "unfinished": _array(_record({"object": _OBJECT, "reason": _REASON, "message": _TEXT})),
            "objects": _array(
                _record(
                    {
                        "object": _OBJECT,
                        "detail": _TEXT,
                        "until": _nullable(_MOMENT),
                        "conditions": _array(reference("Condition")),
                    }
                )
            ),
            "events": _array(reference("Event"), "What was done meanwhile, in the order of its ends."),
        }
    ),
    "Reconciliation": _record(
        {
            "version": _VERSION,
            "revision": _nullable(_TEXT, "The revision that stands."),
            "converged": _FLAG,
            "look": _record({"result": _words(status.LookResult), "message": _TEXT}),
            "problems": _array(_TEXT),
            "error": _described(_TEXT, "Why the runtime could not be looked at."),
            "steps": _array(_record({"object": _OBJECT, "action": _TEXT, "reason": _REASON, "message": _TEXT})),
            "underWay": _array(_OBJECT),
            "waiting": _array(_record({"object": _OBJECT, "reason": _REASON, "message": _TEXT})),
        }
    ),
    "Restarts": _record(
        {
            "version": _VERSION,
            "restarts": _array(_record({"object": _OBJECT, "result": _words(restart.Result), "message": _TEXT})),
        }
    ),
    "Suspensions": _record(
        {
            "version": _VERSION,
            "requested": _array(_TEXT, "Kinds and names; Source for the whole source."),
            "changed": _array(_TEXT, "Those of it that were not so before."),
            "underWay": _array(_OBJECT, "What has begun on them ends first."),
            "source": _nullable(_MOMENT, "Since when the whole source is suspended."),
            "objects": _array(_record({"object": _OBJECT, "since": _MOMENT})),
        }
    ),
    "Problem": _record(
        {
            "title": _TEXT,
            "status": _COUNT,
            "reason": _words(server.Problem),
            "detail": _TEXT,
            "hint": _described(_TEXT, "What to do; may be empty."),
        }
    ),
}
