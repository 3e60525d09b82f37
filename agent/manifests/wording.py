"""From pydantic's findings to what people read: the place in the file, a sentence that begins with the field, a hint.

Values below ``env``, ``headers``, ``command``, ``args`` and ``exec`` may be secrets, those of a Secret are, and
problems are logged and stored: of these only the shape is told. Of mappings and lists nothing else is told anywhere.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator

import pydantic
from pydantic_core import ErrorDetails

from agent.manifests import decode, problem
from agent.manifests.v1 import base, forms

Model = type[pydantic.BaseModel]
Path = list[str | int]

_PRIVATE = frozenset({"env", "headers", "command", "args", "exec", "data", "stringData"})
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_KEY = "[key]"
"""How pydantic marks that a mapping's key is wrong, not its value."""
_LONGEST = 60
"""Characters of a value that are shown: a line is to stay readable."""


def problems_of(document: decode.Document, model: Model, found: list[ErrorDetails]) -> list[problem.Problem]:
    """Say what pydantic's findings mean in a document. A field that is only misspelt is not told as missing, too."""
    written = [list(error["loc"]) for error in found if error["type"] == "extra_forbidden"]
    meant = [[*location[:-1], _meant(document, model, location)] for location in written]
    return sorted(
        {_problem(document, model, one) for one in found if one["type"] != "missing" or list(one["loc"]) not in meant}
    )


def _problem(document: decode.Document, model: Model, error: ErrorDetails) -> problem.Problem:
    location = list(error["loc"])
    if error["type"] == "extra_forbidden":
        return _unknown_field(document, model, location)
    if location[-1:] == [_KEY] and not _is_there(document, location):
        return _wrong_key(document, model, location[:-1], error)
    path = _walk(document, location)
    if error["type"] == "missing":
        return document.problem(f"{_dotted([*path, location[-1]])} is missing", _explain(model, path), *path)
    found = error.get("ctx", {}).get("error")
    if isinstance(found, forms.Wrong) and found.at:
        path.append(found.at)
    return document.problem(f"{_dotted(path)} {_words(error, path)}", _hint(model, path, error), *path)


def models_in(annotation: object) -> Iterator[Model]:
    """Give the models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        if not isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation) is not type:
            yield from models_in(inner)


def close(word: str, known: typing.Iterable[str], lead: str = "known are") -> str:
    """Give a hint for a word that is unknown."""
    names = list(known)
    near = _nearest(word, names)
    return f"did you mean {near}?" if near else f"{lead} {', '.join(names)}"


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    """Give the name that a word is a misspelling of; empty where it is like none."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def _unknown_field(document: decode.Document, model: Model, location: Path) -> problem.Problem:
    name, path = str(location[-1]), _walk(document, location[:-1])
    place = document.key_place(*path, name)
    if _is_private(path):
        told = f"{_dotted(path)} must be a text, number or true/false"
        return problem.Problem(document.path, *place, told, "quote it where it is meant as a text")
    hint = close(name, _known(model, path), "fields here are")
    return problem.Problem(document.path, *place, f"unknown field {_dotted([*path, name])}", hint)


def _meant(document: decode.Document, model: Model, location: Path) -> str:
    return _nearest(str(location[-1]), _known(model, _walk(document, location[:-1])))


def _known(model: Model, path: Path) -> list[str]:
    """Give the fields of the mapping at a path."""
    _, inner = _fields(model, path)
    return [] if inner is None else [field.alias or name for name, field in inner.model_fields.items()]


def _wrong_key(document: decode.Document, model: Model, location: Path, error: ErrorDetails) -> problem.Problem:
    path, key = _walk(document, location[:-1]), str(location[-1])
    place = document.key_place(*path, key)
    told = f"a name in {_dotted(path)} {_words(error, path)}"
    return problem.Problem(document.path, *place, told, "write NAME: value" if "=" in key else _explain(model, path))


def _hint(model: Model, path: Path, error: ErrorDetails) -> str:
    found = error.get("ctx", {}).get("error")
    return (found.hint if isinstance(found, forms.Wrong) else "") or _explain(model, path)


def _words(error: ErrorDetails, path: Path) -> str:
    """Say a finding as the end of a sentence that begins with the field."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    found = context.get("error")
    if isinstance(found, forms.Wrong) and not isinstance(found, forms.Unlike):
        return str(found)
    given = _given(value, private=_is_private(path))
    if isinstance(found, ValueError):
        return str(found) + given
    if kind == "too_short":
        return "must not be empty"
    if kind == base.SHAPE:
        return error["msg"] + given
    if kind == "string_type":
        return ("must be a text: quote it" if isinstance(value, bool | int | float) else "must be a text") + given
    said = _KINDS.get(kind)
    return (said.format(**context) if said else f"is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}") + given


_KINDS = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "float_type": "must be a number",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} at least",
    "less_than_equal": "must be {le} at most",
    "string_too_long": "must have {max_length} characters at most",
}


def _given(value: object, *, private: bool) -> str:
    """Say what was written, as the rest of a sentence: shapes of what may be a secret, and of what has an inside."""
    if value is None:
        return ", and is null"
    if isinstance(value, list | dict):
        return ", and is a list" if isinstance(value, list) else ", and is a mapping"
    if private:
        return ", and is a text" if isinstance(value, str) else ", and is a number, true or false"
    shown = repr(value) if isinstance(value, str) else str(forms.written(value))
    return f", and is {shown if len(shown) <= _LONGEST else f'{shown[: _LONGEST - 3]}...'}"


def _is_there(document: decode.Document, location: Path) -> bool:
    return len(_walk(document, location)) > len(_walk(document, location[:-1]))


def _walk(document: decode.Document, location: Path) -> Path:
    """Keep of pydantic's location what is in the document: the marks of union members are not."""
    path: Path = []
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


def _fields(model: Model, path: Path) -> tuple[list[str], Model | None]:
    """Follow a path as far as it leads through fields, not into a mapping's names; give these and the model there."""
    names: list[str] = []
    current: Model | None = model
    for part in (part for part in path if isinstance(part, str)):
        fields = current.model_fields.items() if current is not None else ()
        field = next((one for name, one in fields if part in (one.alias, name)), None)
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
    return f"see trimtab explain {'.'.join([model.__name__.lower(), *_fields(model, path)[0]])}"


def _dotted(path: Path) -> str:
    """Name a place. A name below a private field that is none (``TOKEN=abc``) may hold the value: it is left out."""
    text, private = "", False
    for part in path:
        if private and isinstance(part, str) and not _PLAIN_NAME.fullmatch(part):
            break
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
        private = private or part in _PRIVATE
    return text.lstrip(".") or "the manifest"
