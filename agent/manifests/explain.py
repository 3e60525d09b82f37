"""What a field means, told from the models: the text behind ``trimtab explain container.spec.health``."""

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator

import pydantic
from pydantic.fields import FieldInfo

from agent import errors
from agent.manifests import registry, wording
from agent.manifests.v1 import forms

_INDENT = "  "


class UnknownField(errors.TrimtabError):
    """There is no such kind or field."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A field as it is told."""

    name: str
    type: str
    required: bool
    default: str
    description: str


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """A kind or field: what it is, and what is in it."""

    path: str
    type: str
    description: str
    default: str
    members: tuple[Member, ...]


def look_up(path: str) -> Explanation:
    """Tell what stands at a dotted path: ``container.spec.mounts``. Raises ``UnknownField``."""
    kind, *names = path.removesuffix(".").split(".")
    models = {name.lower(): model for name, model in registry.MODELS.items()}
    if kind.lower() not in models:
        raise UnknownField(f"there is no kind {kind!r}", hint=wording.close(kind, models))
    model: type[pydantic.BaseModel] = models[kind.lower()]
    told = Explanation(kind.lower(), model.__name__, _first_line(model), "", _members([model]))
    inside: list[type[pydantic.BaseModel]] = [model]
    for number, name in enumerate(names):
        known = {alias: field for one in inside for alias, field in _fields(one)}
        so_far = ".".join([kind.lower(), *names[:number]])
        if name not in known:
            raise UnknownField(f"{so_far} has no field {name!r}", hint=wording.close(name, known, "its fields are"))
        field = known[name]
        inside = list(dict.fromkeys(wording.models_in(field.annotation)))
        told = Explanation(f"{so_far}.{name}", _of(field), field.description or "", _default(field), _members(inside))
    return told


def explain(path: str) -> str:
    """Tell it as people read it. Raises ``UnknownField``."""
    told = look_up(path)
    lines = [f"{told.path} <{told.type}>{f', default {told.default}' if told.default else ''}", "", told.description]
    if told.members:
        lines += ["", "FIELDS"]
    for member in told.members:
        mark = " (required)" if member.required else f", default {member.default}" if member.default else ""
        lines += [f"{_INDENT}{member.name} <{member.type}>{mark}", f"{_INDENT * 3}{member.description}"]
    return "\n".join(lines)


def paths() -> tuple[str, ...]:
    """Give every path that can be explained, for completion."""
    found: list[str] = []

    def walk(model: type[pydantic.BaseModel], prefix: str) -> None:
        found.append(prefix)
        for alias, field in _fields(model):
            inner = list(dict.fromkeys(wording.models_in(field.annotation)))
            for one in inner:
                walk(one, f"{prefix}.{alias}")
            if not inner:
                found.append(f"{prefix}.{alias}")

    for name, model in registry.MODELS.items():
        walk(model, name.lower())
    return tuple(dict.fromkeys(found))


def _members(models: list[type[pydantic.BaseModel]]) -> tuple[Member, ...]:
    return tuple(
        Member(alias, _of(field), field.is_required(), _default(field), field.description or "")
        for model in models
        for alias, field in _fields(model)
    )


def _fields(model: type[pydantic.BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _first_line(model: type[pydantic.BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=False)
    if field.is_required() or value is None or value == "" or field.default_factory is not None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


_READERS = {
    forms.seconds: "duration",
    forms.size: "quantity",
    forms.some: "quantity",
    forms.memory: "quantity",
    forms.millis: "cores",
    forms.written: "string | number | boolean",
}
_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", object: "any", type(None): "null"}


def _type(annotation: object) -> str:
    """Name a type as people who write YAML know it."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _read_by(annotation.__metadata__) or _type(inner[0])  # type: ignore[attr-defined]
    if origin is typing.Literal:
        return " | ".join(str(one) for one in inner)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(dict.fromkeys(_type(one) for one in inner if one is not type(None)))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"map of {_type(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " | ".join(str(one.value) for one in annotation)
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)).removesuffix("Spec"))  # type: ignore[call-overload, no-any-return]


def _of(field: FieldInfo) -> str:
    return _read_by(tuple(field.metadata)) or _type(field.annotation)


def _read_by(metadata: tuple[object, ...]) -> str:
    """Name a type that is read from text, as durations are; empty for all others."""
    readers = (getattr(one, "func", None) for one in metadata)
    return next((_READERS[reader] for reader in readers if reader in _READERS), "")
