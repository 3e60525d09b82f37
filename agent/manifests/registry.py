"""From documents to models: which model a document is, and what its mistakes mean to people."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator

import pydantic
from pydantic_core import ErrorDetails

from agent.manifests import decode, problem
from agent.manifests.v1 import container, image, network, volume
from agent.model.key import PREFIX, Kind, ObjectKey

API_VERSION = "trimtab.dev/v1"
Object = container.Container | image.Image | network.Network | volume.Volume

MODELS: dict[str, type[Object]] = {
    "Container": container.Container,
    "Image": image.Image,
    "Network": network.Network,
    "Volume": volume.Volume,
}
_WRONG_TYPE = "must be a text: quote it"
LATER = ("Secret", "Config", "Stack", "Release", "Source", "Service")


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """A document that is a sound object by itself."""

    key: ObjectKey
    object: Object
    document: decode.Document
    directory: str
    """Where its relative paths start: absolute."""


def parse(document: decode.Document, directory: str) -> tuple[Manifest | None, list[problem.Problem]]:
    """Read one document."""
    if not isinstance(document.value, dict):
        return None, [document.problem("a manifest must be a mapping", "begin with apiVersion: trimtab.dev/v1")]
    model, found = _model(document, document.value)
    if model is None:
        return None, found
    try:
        parsed = model.model_validate(document.value)
    except pydantic.ValidationError as error:
        return None, _unique(_problem(document, model, one) for one in error.errors())
    owned = _owned(document, parsed)
    if owned:
        return None, owned
    return Manifest(ObjectKey(Kind(parsed.kind), parsed.metadata.name), parsed, document, directory), []


def _model(
    document: decode.Document, value: dict[str, decode.Value]
) -> tuple[type[Object] | None, list[problem.Problem]]:
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None and "services" in value:
        message = "this is a Compose file: they are not built yet"
        return None, [document.problem(message, "write Container manifests, see trimtab explain container")]
    if version != API_VERSION:
        said = "is missing" if version is None else f"must be {API_VERSION}"
        return None, [document.problem(f"apiVersion {said}", f"begin with apiVersion: {API_VERSION}", "apiVersion")]
    if kind in LATER:
        return None, [document.problem(f"kind {kind} is not built yet", f"known are {', '.join(MODELS)}", "kind")]
    if not isinstance(kind, str) or kind not in MODELS:
        said = "is missing" if kind is None else f"{str(kind)[:50]!r} is unknown"
        return None, [document.problem(f"kind {said}", close(str(kind), MODELS), "kind")]
    return MODELS[kind], []


def _problem(document: decode.Document, model: type[Object], error: ErrorDetails) -> problem.Problem:
    location = [part for part in error["loc"] if part != "[key]"]
    if error["type"] == "extra_forbidden":
        name = str(location[-1])
        path = _walk(document, location[:-1])
        place = document.key_place(*path, name)
        inner = _model_at(model, path)
        known = [field.alias or alias for alias, field in inner.model_fields.items()] if inner is not None else []
        return problem.Problem(
            document.path, *place, f"unknown field {_dotted([*path, name])}", close(name, known, "fields here are")
        )
    path = _walk(document, location)
    if error["type"] == "missing":
        return document.problem(f"{_dotted([*path, str(location[-1])])} is missing", _explain(model, path), *path)
    return document.problem(f"{_dotted(path)} {_words(error)}", _explain(model, path), *path)


def _words(error: ErrorDetails) -> str:
    """Say pydantic's finding as the end of a sentence that begins with the field."""
    found = error.get("ctx", {}).get("error")
    if error["type"] == "value_error" and found is not None:
        return str(found)
    given = repr(error["input"])
    given = given if len(given) <= 60 else f"{given[:57]}..."  # noqa: PLR2004 - a line is to stay readable
    kinds = {
        "string_type": _WRONG_TYPE,
        "int_type": "must be a whole number",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
        "model_type": "must be a mapping",
        "float_type": "must be a number",
    }
    if error["type"] in kinds:
        return f"{kinds[error['type']]}, and is {given}"
    if error["type"] == "literal_error":
        return f"must be {error['ctx']['expected']}, and is {given}"
    if error["type"] == "string_pattern_mismatch":
        return f"must match {error['ctx']['pattern']}, and is {given}"
    return f"is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}, and is {given}"


def _walk(document: decode.Document, location: list[str | int]) -> list[str | int]:
    """Keep of pydantic's location what is in the document: names of union members are not."""
    path: list[str | int] = []
    value = document.value
    for part in location:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(part)
    return path


def _model_at(model: type[pydantic.BaseModel], path: list[str | int]) -> type[pydantic.BaseModel] | None:
    """Give the model that stands at a place."""
    current: type[pydantic.BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or current is None:
            continue
        field = next((one for name, one in current.model_fields.items() if part in (one.alias, name)), None)
        current = next(models_in(field.annotation), None) if field is not None else None
    return current


def models_in(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    """Give the models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        if not isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation) is not type:
            yield from models_in(inner)


def _explain(model: type[Object], path: list[str | int]) -> str:
    words = [part for part in path if isinstance(part, str)]
    return f"see trimtab explain {'.'.join([model.__name__.lower(), *words])}"


def close(word: str, known: typing.Iterable[str], lead: str = "known are") -> str:
    """Give a hint for a word that is unknown."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else f"{lead} {', '.join(names)}"


def _dotted(path: list[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the manifest"


def _owned(document: decode.Document, parsed: Object) -> list[problem.Problem]:
    """Refuse labels and annotations of ours: none of them is built for people to set."""
    found = []
    for field in ("labels", "annotations"):
        for name in getattr(parsed.metadata, field):
            if name.startswith(PREFIX):
                place = document.key_place("metadata", field, name)
                what = (
                    "is not built yet" if name == f"{PREFIX}hosts" else "is not known: that prefix is the agent's own"
                )
                found.append(problem.Problem(document.path, *place, f"metadata.{field} {name} {what}", "leave it out"))
    return found


def _unique(problems: Iterator[problem.Problem]) -> list[problem.Problem]:
    """Keep one problem a place: members of a union each complain of the same value, and the last word knows most."""
    by_place: dict[tuple[int, int], problem.Problem] = {}
    for one in problems:
        before = by_place.get((one.line, one.column))
        if before is None or _tells_more(one, before):
            by_place[one.line, one.column] = one
    return sorted(by_place.values())


def _tells_more(one: problem.Problem, other: problem.Problem) -> bool:
    """Tell which of two members' complaints helps: one of another type does least, then the longer one wins."""
    return (_WRONG_TYPE not in one.message, len(one.message)) > (_WRONG_TYPE not in other.message, len(other.message))
