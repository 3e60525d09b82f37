"""What a field means, read from the models: the text behind ``trimtab explain container.spec.health``."""

import types
import typing
from collections.abc import Iterator

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from agent import errors
from agent.kit import frozen
from agent.manifests import registry, wording
from agent.manifests.v1 import forms

_INDENT = "  "


class UnknownField(errors.TrimtabError):
    """There is no such kind or field."""


@frozen.value
class Member:
    """One field: its name, type and description."""

    name: str
    type: str
    required: bool
    default: str
    description: str


@frozen.value
class Explanation:
    """A kind or field with its description and its members."""

    path: str
    type: str
    description: str
    default: str
    members: tuple[Member, ...]


def look_up(path: str) -> Explanation:
    """Return the explanation of a dotted path like ``container.spec.mounts``, or of all kinds for an empty one.

    Raises ``UnknownField``.
    """
    if not path:
        return _all_kinds()
    kind, *names = path.removesuffix(".").split(".")
    models = {name.lower(): model for name, model in registry.MODELS.items()}
    if kind.lower() not in models:
        raise UnknownField(f"there is no kind {kind!r}", hint=wording.suggestion(kind, models))
    model: type[pydantic.BaseModel] = models[kind.lower()]
    explanation = Explanation(kind.lower(), model.__name__, _first_line(model), "", _members([model]))
    inside: list[type[pydantic.BaseModel]] = [model]
    for number, name in enumerate(names):
        fields = {alias: field for inner in inside for alias, field in _fields(inner)}
        so_far = ".".join([kind.lower(), *names[:number]])
        if name not in fields:
            hint = wording.suggestion(name, fields, "its fields are") if fields else f"see trimtab explain {so_far}"
            raise UnknownField(f"{so_far} has no field {name!r}", hint=hint)
        field = fields[name]
        inside = list(dict.fromkeys(wording.models_in(field.annotation)))
        explanation = Explanation(
            f"{so_far}.{name}", _of(field), str(field.description), _default(field), _members(inside)
        )
    return explanation


def _all_kinds() -> Explanation:
    members = tuple(
        Member(name.lower(), name, required=False, default="", description=_first_line(model))
        for name, model in registry.MODELS.items()
    )
    return Explanation("trimtab.dev/v1", "kinds", "What a manifest can declare.", "", members)


def explain(path: str) -> str:
    """Return the explanation of a path as text for the terminal. Raises ``UnknownField``."""
    explanation = look_up(path)
    lines = [
        f"{explanation.path} <{explanation.type}>{f', default {explanation.default}' if explanation.default else ''}",
        "",
        explanation.description,
    ]
    if explanation.members:
        lines += ["", "FIELDS" if path else "KINDS"]
    for member in explanation.members:
        mark = " (required)" if member.required else f", default {member.default}" if member.default else ""
        lines += [f"{_INDENT}{member.name} <{member.type}>{mark}", f"{_INDENT * 3}{member.description}"]
    return "\n".join(lines)


def paths() -> tuple[str, ...]:
    """Return every path that can be explained, for completion."""
    names: list[str] = []

    def walk(model: type[pydantic.BaseModel], prefix: str) -> None:
        names.append(prefix)
        for alias, field in _fields(model):
            names.append(f"{prefix}.{alias}")
            for inner_model in wording.models_in(field.annotation):
                walk(inner_model, f"{prefix}.{alias}")

    for name, model in registry.MODELS.items():
        walk(model, name.lower())
    return tuple(dict.fromkeys(names))


def _members(models: list[type[pydantic.BaseModel]]) -> tuple[Member, ...]:
    return tuple(
        Member(alias, _of(field), field.is_required(), _default(field), str(field.description))
        for model in models
        for alias, field in _fields(model)
    )


def _fields(model: type[pydantic.BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for field in model.model_fields.values():
        yield str(field.alias), field


def _first_line(model: type[pydantic.BaseModel]) -> str:
    return str(model.__doc__).strip().splitlines()[0]


def _default(field: FieldInfo) -> str:
    value = field.default  # undefined where it is required, or made by a factory
    if value is pydantic_core.PydanticUndefined or value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


_READERS = {
    forms.seconds: "duration",
    forms.size: "quantity",
    forms.nonzero_size: "quantity",
    forms.memory: "quantity",
    forms.millis: "cores",
    forms.scalar_text: "string | number | boolean",
}
_NAMES = {str: "string", int: "integer", bool: "boolean", object: "any"}


def _type(annotation: object) -> str:
    """Return a type's name as YAML users know it."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _read_by(annotation.__metadata__) or _type(inner[0])  # type: ignore[attr-defined]
    if origin is typing.Literal:
        return " | ".join(str(value) for value in inner)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(dict.fromkeys(_type(member) for member in inner if member is not type(None)))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"map of {_type(inner[1])}"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)).removesuffix("Spec"))  # type: ignore[call-overload, no-any-return]


def _of(field: FieldInfo) -> str:
    return _read_by(tuple(field.metadata)) or _type(field.annotation)


def _read_by(metadata: tuple[object, ...]) -> str:
    """Return the name of a type that is parsed from text, as durations are; empty for all others."""
    readers = (getattr(validator, "func", None) for validator in metadata)
    return next((_READERS[reader] for reader in readers if reader in _READERS), "")
