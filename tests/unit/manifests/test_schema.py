"""The definitions are ones that an API server accepts, and with the schemas they accept what the agent accepts."""

import pathlib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pydantic
import pytest
import yaml

from agent.manifests import registry, schema

ROOT = pathlib.Path(__file__).parents[3]
Json = dict[str, Any]
FILES = schema.files()
DEFINITIONS = {kind: yaml.safe_load(FILES[f"{kind.lower()}.crd.yaml"]) for kind in registry.MODELS}
FORBIDDEN = {"$ref", "definitions", "dependencies", "patternProperties", "propertyNames", "const", "uniqueItems"}
"""Keywords that apiextensions.k8s.io/v1 refuses."""
JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
OUTSIDE = {"description", "type", "default", "additionalProperties", "nullable"}
"""Keywords that may not be inside of a junctor."""


def version_of(kind: str) -> Json:
    """Return the one version of a definition."""
    (version,) = DEFINITIONS[kind]["spec"]["versions"]
    return dict(version)


def faults(node: Json, path: str = "") -> Iterator[str]:
    """Yield why a schema is not structural, by the four rules of Kubernetes' documentation and its forbidden words."""
    yield from _own_faults(node, path)
    for junctor in JUNCTORS:
        forms = node.get(junctor, ())
        for form in [forms] if isinstance(forms, dict) else forms:
            yield from (f"{path} has {word} inside of {junctor}" for word in sorted(OUTSIDE & form.keys()))
            missing = {*form.get("required", ()), *form.get("properties", ())} - node.get("properties", {}).keys()
            yield from (f"{path}.{name} is in {junctor} alone" for name in sorted(missing))
    for name, inner in node.get("properties", {}).items():
        yield from faults(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from faults(node[word], f"{path}[]")


def _own_faults(node: Json, path: str) -> Iterator[str]:
    is_choice = bool(node.get("x-kubernetes-int-or-string"))
    is_free = is_choice or bool(node.get("x-kubernetes-preserve-unknown-fields"))
    checks = {
        "no type": "type" not in node and not (is_free and path),
        "several types": isinstance(node.get("type"), list) or (is_choice and "type" in node),
        "properties and additionalProperties": {"properties", "additionalProperties"} <= node.keys(),
        "additionalProperties: false": node.get("additionalProperties") is False,
        "an empty description": node.get("description") == "",
        "no items": node.get("type") == "array" and "items" not in node,
        "more than a name": path == ".metadata" and not set(node.get("properties", {})) <= {"name", "generateName"},
    }
    yield from (f"{path} has {fault}" for fault, is_there in checks.items() if is_there)
    yield from (f"{path} has {word}" for word in sorted(FORBIDDEN & node.keys()))


def defaults(node: Json, path: str = "") -> Iterator[tuple[str, Json, object]]:
    """Yield every default with its schema."""
    if "default" in node:
        yield path, node, node["default"]
    for name, inner in node.get("properties", {}).items():
        yield from defaults(inner, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from defaults(node["items"], f"{path}[]")


def accepts(kind: str, document: object) -> bool:
    """Return whether a definition's schema accepts a document, as far as JSON Schema says what it means."""
    return bool(
        jsonschema.Draft202012Validator(_nullable(version_of(kind)["schema"]["openAPIV3Schema"])).is_valid(document)
    )


def _nullable(node: Any) -> Any:
    if isinstance(node, list):
        return [_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _nullable(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if node.get("nullable") is True else inner


def is_valid(model: type[pydantic.BaseModel], document: object) -> bool:
    """Return whether the agent's own model accepts a document."""
    try:
        model.model_validate(document)
    except pydantic.ValidationError:
        return False
    return True


def examples() -> list[Json]:
    """Return the documents of the examples."""
    paths = sorted((ROOT / "manifests").rglob("*.yaml"))
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]


def test_files__are_those_that_are_published() -> None:
    published = {path.name: path.read_text() for path in (ROOT / "crds").iterdir()}
    files = schema.files()
    assert sorted(published) == list(files)
    assert [name for name, text in published.items() if files[name] != text] == []


@pytest.mark.parametrize("kind", registry.MODELS)
def test_definition__is_structural(kind: str) -> None:
    assert list(faults(version_of(kind)["schema"]["openAPIV3Schema"])) == []


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"type": "object", "properties": {"a": {}}}, ".a has no type"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, ".a has no items"),
        ({"type": "object", "oneOf": [{"required": ["a"]}]}, ".a is in oneOf alone"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "anyOf": [{"required": ["a"], "type": "object"}],
            },
            " has type inside of anyOf",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/x", "type": "object"}}}, ".a has $ref"),
        ({"type": "object", "additionalProperties": False}, " has additionalProperties: false"),
    ],
)
def test_check__of_what_is_not_structural__says_why(node: Json, fault: str) -> None:
    assert list(faults(node)) == [fault]


@pytest.mark.parametrize("kind", registry.MODELS)
def test_definition__its_defaults_fit_their_own_schemas(kind: str) -> None:
    entries = list(defaults(version_of(kind)["schema"]["openAPIV3Schema"]))
    assert entries or kind == "Secret"
    for path, node, value in entries:
        assert jsonschema.Draft202012Validator(_nullable(node)).is_valid(value), path


def test_examples__fit_schemas_and_definitions() -> None:
    documents = examples()
    assert {document["kind"] for document in documents} >= {"Container", "Image", "Network", "Volume"}
    whole = jsonschema.Draft202012Validator(yaml.safe_load(FILES["all.schema.json"]))
    assert [str(error) for document in documents for error in whole.iter_errors(document)] == []
    assert [document for document in documents if not accepts(document["kind"], document)] == []


@pytest.mark.parametrize(
    ("fields", "is_sound"),
    [
        ({"image": {"name": "x"}}, True),
        ({"image": "x", "env": {"A": "b", "B": 1, "C": {"secret": "db", "key": "p"}}}, True),
        ({"image": "x", "ports": ["80:80", {"host": 1, "container": 2}], "networks": "host"}, True),
        ({"image": "x", "networks": ["a", {"name": "b"}], "dependsOn": ["a", {"container": "b"}]}, True),
        ({"image": "x", "resources": {"cpus": 0.5, "memory": "64Mi", "pids": None}}, True),
        ({"image": "x", "mounts": [{"tmpfs": "1Mi", "path": "/x"}], "health": {"liveness": None}}, True),
        ({"image": "x", "mounts": [{"path": "/x"}]}, False),
        ({"image": "x", "mounts": [{"path": "/x", "bind": "/y", "volume": "z"}]}, False),
        ({"image": "x", "health": {"liveness": {}}}, False),
        ({"image": "x", "health": {"liveness": {"tcp": {"port": 1}, "exec": ["a"]}}}, False),
        ({"image": "x", "restart": {"policy": "always"}}, False),
        ({"image": "x", "envFile": ["a"] * 101}, False),
        ({"image": "x", "command": "ls"}, False),
        ({}, False),
    ],
)
def test_container__is_accepted_by_models_schema_and_definition_alike(fields: Json, is_sound: bool) -> None:
    document = {"apiVersion": registry.API_VERSION, "kind": "Container", "metadata": {"name": "x"}, "spec": fields}
    alone = jsonschema.Draft202012Validator(yaml.safe_load(FILES["container.schema.json"]))
    assert accepts("Container", document) is is_sound
    assert is_valid(registry.MODELS["Container"], document) is is_sound
    assert alone.is_valid(document) is is_sound


@pytest.mark.parametrize(
    ("fields", "is_sound"),
    [
        ({"pull": {"reference": "x"}}, True),
        ({"archive": {"path": "x"}}, True),
        ({"pull": {"reference": "x"}, "archive": {"path": "x"}}, False),
        ({}, False),
    ],
)
def test_image__has_one_source__in_its_definition_too(fields: Json, is_sound: bool) -> None:
    assert accepts("Image", {"metadata": {"name": "x"}, "spec": fields}) is is_sound


def test_definition__names_have_the_form_of_names() -> None:
    assert not accepts("Volume", {"metadata": {"name": "A_b"}})
    assert accepts("Volume", {"metadata": {"name": "a-b"}})


@pytest.mark.parametrize("kind", registry.MODELS)
def test_columns__lead_to_fields_that_there_are__and_end_with_the_age(kind: str) -> None:
    columns = version_of(kind)["additionalPrinterColumns"]
    assert columns[-1] == {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    assert len({column["name"] for column in columns}) == len(columns)
    for column in columns[:-1]:
        node = version_of(kind)["schema"]["openAPIV3Schema"]
        for name in column["jsonPath"].removeprefix(".").split("."):
            node = node["properties"][name]
        assert node.get("type", "string") == column["type"], column


def test_columns__of_containers__are_image_restart_and_age() -> None:
    columns = version_of("Container")["additionalPrinterColumns"]
    assert [column["name"] for column in columns if not column.get("priority")] == ["Image", "Restart", "Age"]


UNKNOWN = {"x-kubernetes-preserve-unknown-fields": True}
ANY = {"x-kubernetes-int-or-string": True}
STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "string", "const": "a", "title": "A", "format": "x"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "default": None}, STRING),
        ({"type": "integer", "default": 0, "minimum": 0}, {"type": "integer", "default": 0, "minimum": 0}),
        (
            {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": False},
            {"type": "object", "properties": {"a": {"enum": [1]}}},
        ),
        (
            {"type": "object", "properties": {"a": STRING}, "additionalProperties": STRING},
            {"type": "object", "properties": {"a": STRING}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "format": "x"}},
            {"type": "object", "additionalProperties": STRING},
        ),
        ({"type": "object", "additionalProperties": True}, {"type": "object"}),
        (
            {"type": "array", "items": {"const": 1}, "minItems": 1},
            {"type": "array", "items": {"enum": [1]}, "minItems": 1},
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"const": 1}}, "additionalProperties": False},
            {"type": "object", "additionalProperties": {"enum": [1]}},
        ),
        ({"type": "object", "patternProperties": {"^a": STRING, "^b": STRING}}, {"type": "object"}),
        ({"type": "string", "not": {"const": "a"}, "description": "d"}, {"description": "d", **UNKNOWN}),
        ({"not": {}, "description": ""}, UNKNOWN),
        ({"anyOf": [{**STRING, "description": "form"}, NULL]}, {**STRING, "description": "form", "nullable": True}),
        (
            {"anyOf": [{**STRING, "description": "form"}, NULL], "description": "d", "default": "a"},
            {**STRING, "description": "d", "nullable": True},
        ),
        ({"anyOf": [STRING, INTEGER]}, ANY),
        ({"anyOf": [STRING, INTEGER, NULL], "description": "d"}, {"description": "d", **ANY, "nullable": True}),
        ({"oneOf": [STRING, INTEGER]}, ANY),
        ({"anyOf": [STRING, {"type": "object"}], "description": "d"}, {"description": "d", **UNKNOWN}),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        ),
    ],
)
def test_structural__of_a_node__keeps_what_an_api_server_takes(node: Json, expected: Json) -> None:
    assert schema.structural(node) == expected
