"""The models as JSON Schema for editors, and as CustomResourceDefinitions for everything that speaks Kubernetes."""

import json
from typing import Any

import yaml

from agent.manifests import registry

_GROUP = "trimtab.dev"
_VERSION = "v1"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_IDENTIFIERS = f"https://{_GROUP}/schemas/{_VERSION}/"
"""What ``$id`` begins with: a name that editors and validators tell schemas apart by, not an address to fetch."""
_KEPT = frozenset(
    {
        *("type", "description", "properties", "items", "required", "enum", "pattern", "minimum", "maximum"),
        *("minLength", "maxLength", "minItems", "default", "additionalProperties"),
    }
)
_OF_EVERY_KIND = frozenset({"apiVersion", "kind", "metadata"})
Json = dict[str, Any]


def files() -> dict[str, str]:
    """Return the files of ``crds/``: file name to text."""
    schemas = {kind: _standalone(model.model_json_schema(by_alias=True)) for kind, model in registry.MODELS.items()}
    texts = dict(_schema_file(f"{kind.lower()}.schema.json", schema) for kind, schema in schemas.items())
    texts |= {f"{kind.lower()}.crd.yaml": _yaml(_crd(kind, schema)) for kind, schema in schemas.items()}
    any_kind = {"title": f"{_GROUP}/{_VERSION}", "oneOf": list(schemas.values())}
    texts |= [_schema_file("all.schema.json", any_kind)]
    return dict(sorted(texts.items()))


def _schema_file(name: str, schema: Json) -> tuple[str, str]:
    return name, _json({"$schema": _DIALECT, "$id": f"{_IDENTIFIERS}{name}", **schema})


def _standalone(schema: Json) -> Json:
    """Inline definitions where they are used: editors and the API server both read that."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].rpartition("/")[2]]
            return resolve({**target, **{key: value for key, value in node.items() if key != "$ref"}})
        return {key: resolve(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}

    resolved: Json = resolve(schema)
    return resolved


def _crd(kind: str, schema: Json) -> Json:
    plural = f"{kind.lower()}s"
    structural = _structural(schema)
    own = {name: schema for name, schema in structural["properties"].items() if name not in _OF_EVERY_KIND}
    structural["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **own,
    }
    structural["required"] = [name for name in structural.get("required", []) if name in own]
    if not structural["required"]:
        del structural["required"]
    structural.pop("additionalProperties", None)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [
                {"name": _VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": structural}}
            ],
        },
    }


def _structural(node: Json) -> Json:
    """Return the structural schema that an API server accepts: no unions; fields of several types accept anything."""
    if "not" in node:
        return {"description": node.get("description", ""), "x-kubernetes-preserve-unknown-fields": True}
    unions = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if unions:
        forms = [form for form in unions if form.get("type") != "null" and "not" not in form]
        if len(forms) == 1:
            return _structural({**forms[0], **{key: node[key] for key in ("description",) if key in node}})
        if {form.get("type") for form in forms} == {"string", "integer"}:
            return {"description": node.get("description", ""), "x-kubernetes-int-or-string": True}
        return {"description": node.get("description", ""), "x-kubernetes-preserve-unknown-fields": True}
    if len(node.get("patternProperties", ())) == 1:  # an API server would drop whatever it knows nothing of
        node = {**node, "additionalProperties": next(iter(node["patternProperties"].values()))}
    structural = {
        key: value for key, value in node.items() if key in _KEPT and not (key == "default" and value is None)
    }
    if "const" in node:
        structural["enum"] = [node["const"]]
    if "properties" in structural:
        structural["properties"] = {name: _structural(inner) for name, inner in structural["properties"].items()}
        structural.pop("additionalProperties", None)
    elif isinstance(structural.get("additionalProperties"), dict):
        structural["additionalProperties"] = _structural(structural["additionalProperties"])
    else:
        structural.pop("additionalProperties", None)
    if "items" in structural:
        structural["items"] = _structural(structural["items"])
    return structural


def _json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(document: Json) -> str:
    head = "# Generated from the models by ops/generate_crds.py: do not edit.\n"
    return head + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
