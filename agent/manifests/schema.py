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
        *("minLength", "maxLength", "minItems", "maxItems", "default", "additionalProperties", "oneOf"),
    }
)
_OF_EVERY_KIND = frozenset({"apiVersion", "kind", "metadata"})
Json = dict[str, Any]


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> Json:
    """Return a column that kubectl prints; one with a priority only by ``-o wide``."""
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


_COLUMNS: dict[str, tuple[Json, ...]] = {
    "Container": (
        _column("Image", ".spec.image"),
        _column("Restart", ".spec.restart.policy"),
        _column("Memory", ".spec.resources.memory", priority=1),
    ),
    "Image": (
        _column("Reference", ".spec.pull.reference"),
        _column("Policy", ".spec.pull.policy"),
        _column("Archive", ".spec.archive.path", priority=1),
    ),
    "Network": (_column("Driver", ".spec.driver"), _column("Internal", ".spec.internal", "boolean")),
    "Secret": (_column("Type", ".type"),),
    "Volume": (_column("Driver", ".spec.driver"), _column("Deletion", ".spec.deletionPolicy")),
}
_AGE = _column("Age", ".metadata.creationTimestamp", "date")


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
    published = structural(schema)
    own = {name: schema for name, schema in published["properties"].items() if name not in _OF_EVERY_KIND}
    published["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": _object_name(schema)}},
        **own,
    }
    published["required"] = [name for name in published.get("required", []) if name in own]
    if not published["required"]:
        del published["required"]
    published.pop("additionalProperties", None)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": published},
                    "additionalPrinterColumns": [*_COLUMNS.get(kind, ()), _AGE],
                }
            ],
        },
    }


def _object_name(schema: Json) -> Json:
    """Return what an API server may be told of metadata: the name's form."""
    name = schema["properties"]["metadata"]["properties"]["name"]
    return {key: name[key] for key in ("type", "pattern")}


def structural(node: Json) -> Json:
    """Return the structural schema that an API server accepts: values of several types are not looked into."""
    if "not" in node:
        return _anything(node)
    unions = [*node.get("anyOf", ()), *(form for form in node.get("oneOf", ()) if set(form) != {"required"})]
    if unions:
        return _union(node, unions)
    if len(node.get("patternProperties", ())) == 1:  # an API server would drop whatever it knows nothing of
        node = {**node, "additionalProperties": next(iter(node["patternProperties"].values()))}
    kept = {key: value for key, value in node.items() if key in _KEPT and not (key == "default" and value is None)}
    if "const" in node:
        kept["enum"] = [node["const"]]
    if "properties" in kept:
        kept["properties"] = {name: structural(inner) for name, inner in kept["properties"].items()}
        kept.pop("additionalProperties", None)
    elif isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = structural(kept["additionalProperties"])
    else:
        kept.pop("additionalProperties", None)
    if "items" in kept:
        kept["items"] = structural(kept["items"])
    return kept


def _union(node: Json, forms: list[Json]) -> Json:
    """Return the schema of a value that may have several types, or be null."""
    typed = [form for form in forms if form.get("type") != "null" and "not" not in form]
    described = {key: node[key] for key in ("description",) if key in node}
    nullable = {"nullable": True} if len(typed) < len(forms) else {}
    if len(typed) == 1:
        return {**structural({**typed[0], **described}), **nullable}
    if {form.get("type") for form in typed} == {"string", "integer"}:
        return {**described, "x-kubernetes-int-or-string": True, **nullable}
    return _anything(node)


def _anything(node: Json) -> Json:
    """Return the schema of what the agent alone checks."""
    described = {key: node[key] for key in ("description",) if node.get(key)}
    return {**described, "x-kubernetes-preserve-unknown-fields": True}


def _json(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(document: Json) -> str:
    head = "# Generated from the models by ops/generate_crds.py: do not edit.\n"
    return head + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
