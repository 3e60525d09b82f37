"""The API's own description: it is valid, current, and what a running agent answers is what it says."""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jsonschema
import openapi_spec_validator
import pytest
import pytest_asyncio

from agent.agent_api import live, openapi, routes, server, sockets
from agent.converge import journal, loop, reconcile, signals
from agent.drivers.memory import driver, world
from agent.kit import canonical, clock, tasks
from agent.runtime import build_orders
from tests import builders
from tests.unit.agent_api import test_building
from tests.unit.converge import conftest

ROOT = pathlib.Path(__file__).parents[3]
MANIFESTS = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec: {image: app:1, networks: none, env: {PASSWORD: hunter2}, args: [%s]}
"""
IMAGE = """---
apiVersion: trimtab.dev/v1
kind: Image
metadata: {name: app}
spec: {pull: {reference: app:1, policy: Always}}
"""


@pytest_asyncio.fixture
async def agent(tmp_path: pathlib.Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Run an agent over memory that has brought ``web`` about, and yield a session with its socket."""
    time, script, applied, facts = clock.SystemClock(), conftest.Script(), asyncio.Event(), live.LiveFacts()
    script.write("web.yaml", MANIFESTS % "old" + IMAGE)

    def sink(signal: signals.Signal) -> None:
        facts.take(signal)
        if isinstance(signal, signals.RevisionApplied):
            applied.set()

    with journal.Journal(tmp_path / "j", pytest.fail) as book:
        parts = reconcile.Parts(driver.runtime_in(world.World(time)), book, sink, time, builders.OWNER)
        going = loop.Loop(parts, script)
        status = live.LiveStatus(facts, parts, tmp_path, going.alive, "script")
        answers = routes.Answers(status, book.history, going, "/srv", parts.runtime)
        async with contextlib.AsyncExitStack() as stack:
            crew = await stack.enter_async_context(tasks.Crew(lambda name, error: pytest.fail(f"{name}: {error}")))
            crew.start(going.run(), name="loop")
            await stack.enter_async_context(server.Server(tmp_path, answers.routes()))
            connector = aiohttp.UnixConnector(str(tmp_path / sockets.NAME))
            session = await stack.enter_async_context(aiohttp.ClientSession("http://trimtab", connector=connector))
            async with asyncio.timeout(10):
                await applied.wait()
            script.files["web.yaml"] = MANIFESTS % "new" + IMAGE  # nobody hints that: it is in plans alone
            yield session


def strict(schema: Any) -> Any:
    """Return a schema by which no field may be there that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    stricter = {name: strict(value) for name, value in schema.items()}
    return {"additionalProperties": False, **stricter} if schema.get("type") == "object" else stricter


def assert_valid(answer: Any, schema: Any) -> None:
    """Fail where an answer is not what a schema of the document says, or says more."""
    whole = {**strict(schema), "components": strict(openapi.document()["components"])}
    jsonschema.Draft202012Validator(whole).validate(answer)


async def test_paths__of_the_document__are_all_that_are_served(agent: aiohttp.ClientSession) -> None:
    paths = (await (await agent.get(openapi.PATH)).json())["paths"]
    assert paths == json.loads(json.dumps(openapi.document()["paths"]))
    for path, operations in paths.items():
        for method in ("get", "post", "put", "delete"):
            response = await agent.request(method, path, params={"name": "nobody"})
            assert (response.status == 405) is (method not in operations), (path, method)
    assert (await agent.get("/v1/other")).status == 404


QUESTIONS = [
    *("/v1/status", "/v1/history", "/v1/events", "/v1/events?object=web&limit=1"),
    *("/v1/objects?name=web", "/v1/objects?name=app", "/v1/objects?name=wbe"),
    *("/v1/plan", "/v1/plan?source=/srv&explain=true"),
    *("/v1/apply?source=/srv", "/v1/apply?timeout=1"),
    *("/v1/restart?name=web", "/v1/suspend?name=web", "/v1/suspend", "/v1/resume?name=web", "/v1/resume"),
    *("/v1/reconcile", "/v1/status", "/v1/build"),
]
BODIES = {"/v1/build": {"source": "FROM scratch\nCMD x\n", "references": ["a:1"]}}


async def test_answers__of_every_path__are_what_the_document_says(agent: aiohttp.ClientSession) -> None:
    asked = set()
    for question in QUESTIONS:
        path = question.partition("?")[0]
        operation = openapi.OPERATIONS[path]
        asked.add(path)
        sent = json.dumps(BODIES[path]) if operation.body else None
        response = await agent.request(operation.method, question, data=sent)
        assert response.status == 200, await response.text()
        assert response.content_type == operation.type
        text = await response.text()
        assert "hunter2" not in text
        for document in text.splitlines() if operation.type == server.LINES else [text]:
            assert_valid(json.loads(document), {"$ref": f"#/components/schemas/{operation.answers}"})
    assert asked == openapi.OPERATIONS.keys()


@pytest.mark.parametrize("order", [test_building.ORDER, build_orders.Order(source="x")], ids=["whole", "least"])
def test_order_of_a_build__is_what_the_document_says(order: build_orders.Order) -> None:
    assert_valid(json.loads(json.dumps(canonical.plain(order))), {"$ref": "#/components/schemas/BuildOrder"})


@pytest.mark.parametrize(
    "body", ["", "[]", '{"source": 1}', "nonsense", "[" * 200_000, '{"source": "x", "references": ["!!"]}']
)
async def test_build__of_no_order__is_refused(agent: aiohttp.ClientSession, body: str) -> None:
    response = await agent.post("/v1/build", data=body)
    problem = await response.json()
    assert (response.status, problem["reason"]) == (400, "BadQuery")
    assert problem["detail"].startswith("no order of a build: ")


@pytest.mark.parametrize(
    ("question", "status", "reason"),
    [
        ("/v1/events?limit=many", 400, "BadQuery"),
        ("/v1/objects", 400, "BadQuery"),
        ("/v1/restart", 400, "BadQuery"),
        ("/v1/restart?name=wbe", 404, "UnknownObject"),
        ("/v1/restart?name=image/app", 409, "Refused"),
        ("/v1/suspend?name=wbe", 404, "UnknownObject"),
        ("/v1/plan?source=/other", 409, "OtherSource"),
        ("/v1/apply?source=/other", 409, "OtherSource"),
        ("/v1/other", 404, "UnknownPath"),
    ],
)
async def test_answers__where_there_is_none__are_problem_documents(
    agent: aiohttp.ClientSession, question: str, status: int, reason: str
) -> None:
    operation = openapi.OPERATIONS.get(question.partition("?")[0])
    response = await agent.request("get" if operation is None else operation.method, question)
    assert (response.status, response.content_type) == (status, "application/problem+json")
    answer = await response.json()
    assert answer["reason"] == reason
    assert_valid(answer, {"$ref": "#/components/schemas/Problem"})
    if operation is not None:
        assert str(status) in openapi.document()["paths"][question.partition("?")[0]][operation.method]["responses"]


def test_assert_valid__a_field_that_nobody_has_described__is_noticed() -> None:
    problem = {"title": "", "status": 400, "reason": "BadQuery", "detail": "", "hint": ""}
    assert_valid(problem, {"$ref": "#/components/schemas/Problem"})
    with pytest.raises(jsonschema.ValidationError):
        assert_valid({**problem, "more": 1}, {"$ref": "#/components/schemas/Problem"})


def test_document__is_openapi() -> None:
    errors = openapi_spec_validator.OpenAPIV31SpecValidator(json.loads(json.dumps(openapi.document()))).iter_errors()
    assert list(errors) == []


def test_document__that_is_kept_with_the_manual__is_up_to_date() -> None:
    completed = subprocess.run(
        [sys.executable, str(ROOT / "ops" / "generate_openapi.py"), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.mark.root
async def test_plan__somebody_asks_who_is_not_root__gets_no_values(
    agent: aiohttp.ClientSession, tmp_path: pathlib.Path
) -> None:
    assert "old" in await (await agent.get("/v1/plan")).text()
    (tmp_path / sockets.NAME).chmod(0o666)
    tmp_path.chmod(0o755)
    program = (
        "import socket, sys\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.connect(f'/proc/self/fd/{sys.argv[1]}/trimtab.sock')\n"
        "connection.sendall(b'GET /v1/plan HTTP/1.0\\r\\n\\r\\n')\n"
        "print(connection.makefile().read())\n"
    )
    directory = os.open(tmp_path, os.O_PATH)  # its parents are closed to others
    try:
        process = await asyncio.create_subprocess_exec(
            *("/usr/bin/python3", "-c", program, str(directory)),
            stdout=subprocess.PIPE,
            pass_fds=(directory,),
            user=65534,
        )
        output, _ = await process.communicate()
    finally:
        os.close(directory)
    assert b"args changed" in output
    assert b"old" not in output
