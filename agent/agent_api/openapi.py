"""The OpenAPI 3.1 document of the API, served at its own path and kept in ``ops/docs/openapi.json``. Pure."""

import http
from typing import Any

from agent.agent_api import past, schemas, server
from agent.kit import frozen

Json = dict[str, Any]
PATH = "/v1/openapi.json"
BUILD = "/v1/build"


@frozen.value
class Parameter:
    """What may stand behind a path's question mark."""

    name: str
    schema: Json
    description: str
    required: bool = False


@frozen.value
class Operation:
    """What a path does."""

    method: str
    summary: str
    answers: str
    """The name of the answer's schema."""
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[http.HTTPStatus, ...] = ()
    """Beside those that every path has."""
    body: str = ""
    """The name of the schema of what is sent; empty: nothing is."""
    type: str = "application/json"
    """Of the answer. With ``server.LINES``, each line is a document of the schema."""


def _number(name: str, default: int, description: str) -> Parameter:
    return Parameter(name, {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "default": default}, description)


def _names(description: str, *, required: bool = False) -> Parameter:
    return Parameter("name", {"type": "array", "items": {"type": "string"}}, description, required)


_LIMIT = _number("limit", past.DEFAULT_LIMIT, "Only the last so many.")
_SOURCE = Parameter("source", {"type": "string"}, "Refuse where this is not the agent's: an absolute path, or git+URL.")
_NAME = "web, or Container/web; may be repeated"
_SUSPENDED = _names(f"{_NAME}. Without it, all that the source declares.")

OPERATIONS: dict[str, Operation] = {
    "/v1/status": Operation(
        "get",
        "How the agent, its source, the host and every object are",
        "Status",
        (_SOURCE,),
        (http.HTTPStatus.CONFLICT,),
    ),
    "/v1/objects": Operation(
        "get",
        "All that is known of the objects that a name has",
        "Descriptions",
        (Parameter("name", {"type": "string"}, "web, or Container/web.", required=True),),
    ),
    "/v1/history": Operation("get", "The revisions that were read", "History", (_LIMIT,)),
    "/v1/events": Operation(
        "get",
        "What was done to objects, and why",
        "Events",
        (_LIMIT, Parameter("object", {"type": "string"}, "Only of this object: web, or Container/web.")),
    ),
    "/v1/plan": Operation(
        "get",
        "What the agent would do by what its source says now",
        "Plan",
        (
            _SOURCE,
            Parameter("explain", {"enum": ["true", "false"], "default": "false"}, "Every step among the lines, too."),
        ),
        (http.HTTPStatus.CONFLICT,),
    ),
    "/v1/apply": Operation(
        "post",
        "Bring about what the source says now, and answer when that is up or known not to be",
        "Application",
        (
            _SOURCE,
            _number("timeout", 600, "Seconds to wait for it; 600 at most."),
        ),
        (http.HTTPStatus.CONFLICT,),
    ),
    BUILD: Operation(
        "post",
        "Build an image, and tell how it goes, line by line; the last one tells what came of it. Only for root",
        "BuildLine",
        problems=(http.HTTPStatus.FORBIDDEN,),
        body="BuildOrder",
        type=server.LINES,
    ),
    "/v1/reconcile": Operation(
        "post",
        "Look at the source and the runtime now, and answer what was begun by that",
        "Reconciliation",
        (_number("timeout", 30, "Seconds to wait for it; 600 at most."),),
        (http.HTTPStatus.GATEWAY_TIMEOUT,),
    ),
    "/v1/restart": Operation(
        "post",
        "Restart containers, once",
        "Restarts",
        (_names(f"{_NAME}.", required=True), _number("timeout", 60, "Seconds to wait for it; 600 at most.")),
        (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT),
    ),
    "/v1/suspend": Operation(
        "post",
        "Let objects, or the source, be as they are until they are resumed",
        "Suspensions",
        (_SUSPENDED,),
        (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT),
    ),
    "/v1/resume": Operation(
        "post",
        "Keep what was suspended as declared again",
        "Suspensions",
        (_SUSPENDED,),
        (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT),
    ),
}
"""What each path does, but for the one of this document."""


def document() -> Json:
    """Return the document."""
    paths = {path: {operation.method: _operation(path, operation)} for path, operation in OPERATIONS.items()}
    answer = {"description": "This document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    own = {"operationId": "openapi", "summary": "This document", "responses": {"200": answer}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The trimtab agent",
            "version": "1",
            "summary": "What a running agent knows and does, over the unix socket trimtab.sock in its run directory.",
            "description": "Fields are added, never renamed or removed: pass over what you do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://trimtab", "description": "curl --unix-socket /run/trimtab/trimtab.sock"}],
        "paths": {**paths, PATH: {"get": own}},
        "components": {"schemas": schemas.SCHEMAS},
    }


def _operation(path: str, operation: Operation) -> Json:
    content = {operation.type: {"schema": schemas.reference(operation.answers)}}
    responses: Json = {"200": {"description": operation.summary, "content": content}}
    for status in sorted({http.HTTPStatus.BAD_REQUEST, *operation.problems}):
        problem = {"application/problem+json": {"schema": schemas.reference("Problem")}}
        responses[str(status.value)] = {"description": status.phrase, "content": problem}
    parameters = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for parameter in operation.parameters
    ]
    name = path.rpartition("/")[2]
    body: Json = {}
    if operation.body:
        sent = {"application/json": {"schema": schemas.reference(operation.body)}}
        body = {"requestBody": {"required": True, "content": sent}}
    named = {"operationId": name, "summary": operation.summary, "parameters": parameters}
    return {**named, **body, "responses": responses}
