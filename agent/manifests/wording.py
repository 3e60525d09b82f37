"""From pydantic's errors to problems: position in the file, a sentence that begins with the field, a hint.

Values below ``env``, ``headers``, ``command``, ``args`` and ``exec`` may be secrets, those of a Secret are, and
problems are logged and stored: of these only the type is shown. Mappings and lists are never shown with content.
"""

import difflib
import itertools
import re
import typing
from collections.abc import Iterator

import pydantic
from pydantic_core import ErrorDetails

from agent.manifests import decode, foreign_spellings, problem
from agent.manifests.v1 import base, forms

Model = type[pydantic.BaseModel]
Path = list[str | int]

_PRIVATE = frozenset({"env", "headers", "command", "args", "exec", "data", "stringData"})
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_KEY = "[key]"
"""How pydantic marks that a mapping's key is wrong, not its value."""
_LONGEST = 60
"""Characters of a value or name that are shown: a line is to stay readable."""
_LISTED = 20
"""Names that a hint lists."""
_UNLIKE = 3
"""A misspelling is not longer or shorter than what was meant by more characters."""
_COMPARED = 300
"""Names that a word is compared with, which takes some microseconds each."""


def problems_of(document: decode.Document, model: Model, errors: list[ErrorDetails]) -> list[problem.Problem]:
    """Return the problems for pydantic's errors. A field that is only misspelt is not reported as missing as well."""
    unknown = [list(error["loc"]) for error in errors if error["type"] == "extra_forbidden"]
    intended = {(*location[:-1], _intended_name(document, model, location)) for location in unknown}
    return sorted(
        {
            _problem(document, model, error)
            for error in errors
            if error["type"] != "missing" or error["loc"] not in intended
        }
    )


def _problem(document: decode.Document, model: Model, error: ErrorDetails) -> problem.Problem:
    location = list(error["loc"])
    if error["type"] == "extra_forbidden":
        return _unknown_field(document, model, location)
    if location[-1:] == [_KEY] and not _is_present(document, location):
        return _wrong_key(document, model, location[:-1], error)
    path = _walk(document, location)
    if error["type"] == "missing":
        return document.problem(f"{_dotted([*path, location[-1]])} is missing", _explain(model, path), *path)
    cause = error.get("ctx", {}).get("error")
    entry: tuple[str, ...] = ()
    if isinstance(cause, forms.InvalidField) and cause.at:
        path.append(cause.at)
        entry = cause.entry
    return document.problem(f"{_dotted(path)} {_words(error, path)}", _hint(model, path, error), *path, *entry)


def models_in(annotation: object) -> Iterator[Model]:
    """Return the models in a field's type, with those of unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_in(inner)


def suggestion(word: str, choices: typing.Iterable[str], lead: str = "known are") -> str:
    """Return a hint for an unknown word: the nearest choice, or a list of the choices."""
    names = list(choices)
    near = _nearest(word, names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"did you mean {near}?" if near else f"{lead} {', '.join(names[:_LISTED])}{more}"


def _nearest(word: str, choices: typing.Iterable[str]) -> str:
    """Return the choice that a word may misspell; empty where none is near."""
    if len(word) > _LONGEST:
        return ""
    near = itertools.islice((name for name in choices if abs(len(name) - len(word)) <= _UNLIKE), _COMPARED)
    return next(iter(difflib.get_close_matches(word, near)), "")


def _unknown_field(document: decode.Document, model: Model, location: Path) -> problem.Problem:
    name, path = str(location[-1]), _walk(document, location[:-1])
    position = document.key_position(*path, name)
    hint = foreign_spellings.of_field(_explained(model, path), name)
    if _is_private(path) and not hint:
        message = f"{_dotted(path)} must be a text, number or true/false"
        return problem.Problem(document.path, *position, message, "quote it where it is meant as a text")
    hint = hint or suggestion(name, _field_names(model, path), "fields here are")
    return problem.Problem(document.path, *position, f"unknown field {_dotted([*path, name])}", hint)


def _intended_name(document: decode.Document, model: Model, location: Path) -> str:
    name, path = str(location[-1]), _walk(document, location[:-1])
    intended = foreign_spellings.intended_field(_explained(model, path), name)
    return intended or _nearest(name, _field_names(model, path))


def _field_names(model: Model, path: Path) -> list[str]:
    """Return the names of the fields at a path."""
    _, inner = _fields(model, path)
    return [] if inner is None else [str(field.alias) for field in inner.model_fields.values()]


def _wrong_key(document: decode.Document, model: Model, location: Path, error: ErrorDetails) -> problem.Problem:
    path, key = _walk(document, location[:-1]), str(location[-1])
    position = document.key_position(*path, key)
    message = f"a name in {_dotted(path)} {_words(error, path)}"
    return problem.Problem(
        document.path, *position, message, "write NAME: value" if "=" in key else _explain(model, path)
    )


def _hint(model: Model, path: Path, error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    names, _ = _fields(model, path)
    below = path[path.index(names[-1]) + 1 :] if names else path
    foreign = foreign_spellings.of_value(_explained(model, path), below, error["input"])
    return foreign or (cause.hint if isinstance(cause, forms.InvalidField) else "") or _explain(model, path)


def _words(error: ErrorDetails, path: Path) -> str:
    """Return an error's message as the end of a sentence that begins with the field."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    cause = context.get("error")
    if isinstance(cause, forms.InvalidField) and not isinstance(cause, forms.TypeMismatch):
        return str(cause)
    shown = _shown_value(value, private=_is_private(path))
    if isinstance(cause, ValueError):
        return str(cause) + shown
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind == base.SHAPE:
        return error["msg"] + shown
    if kind == "string_type":
        return ("must be a text: quote it" if isinstance(value, bool | int | float) else "must be a text") + shown
    template = _KINDS.get(kind)
    return (
        template.format(**context) if template else f"is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}"
    ) + shown


_KINDS = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} at least",
    "less_than_equal": "must be {le} at most",
    "string_too_long": "must have {max_length} characters at most",
    "too_long": "must have {max_length} entries at most",
}


def _shown_value(value: object, *, private: bool) -> str:
    """Return the value as the end of a sentence: only its type where it may be a secret, or is a list or mapping."""
    if value is None:
        return ", and is null"
    if isinstance(value, list | dict):
        return ", and is a list" if isinstance(value, list) else ", and is a mapping"
    if private:
        return ", and is a text" if isinstance(value, str) else ", and is a number, true or false"
    shown = repr(value) if isinstance(value, str) else str(forms.scalar_text(value))
    return f", and is {shown if len(shown) <= _LONGEST else f'{shown[: _LONGEST - 3]}...'}"


def _is_present(document: decode.Document, location: Path) -> bool:
    return len(_walk(document, location)) > len(_walk(document, location[:-1]))


def _walk(document: decode.Document, location: Path) -> Path:
    """Return the keys of pydantic's location that are in the document: its tags of union members are not."""
    path: Path = []
    value = document.value
    for part in location:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            continue
        path.append(part)
    return path


def _fields(model: Model, path: Path) -> tuple[list[str], Model | None]:
    """Follow a path through fields, not into a mapping's names; return these fields and the model at the end."""
    names: list[str] = []
    current: Model | None = model
    for part in (part for part in path if isinstance(part, str)):
        fields = current.model_fields.values() if current is not None else ()
        field = next((candidate for candidate in fields if candidate.alias == part), None)
        if field is None:
            return names, None
        names.append(part)
        current = None if _is_map(field.annotation) else next(models_in(field.annotation), None)
    return names, current


def _is_map(annotation: object) -> bool:
    return typing.get_origin(annotation) is dict


def _is_private(path: Path) -> bool:
    return any(part in _PRIVATE for part in path)


def _explain(model: Model, path: Path) -> str:
    return f"see trimtab explain {_explained(model, path)}"


def _explained(model: Model, path: Path) -> str:
    """Return the place of a path as ``trimtab explain`` takes it."""
    return ".".join([model.__name__.lower(), *_fields(model, path)[0]])


def _dotted(path: Path) -> str:
    """Return a dotted path. A key below a private field that is no name (``TOKEN=abc``) may be a value: omitted."""
    text, private = "", False
    for part in path:
        if private and isinstance(part, str) and not _PLAIN_NAME.fullmatch(part):
            break
        text += f"[{part}]" if isinstance(part, int) else f".{problem.shortened(part)}"
        private = private or part in _PRIVATE
    return text.removeprefix(".") or "the manifest"
