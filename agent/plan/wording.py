"""Values of configs as a plan tells them: in the manifests' own spelling, and never the value of a variable."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping

from agent.model import network
from agent.model.key import Pairs

_NAMES = {"cpu_millis": "cpus"}
"""Fields that manifests call something else, beside the spelling."""
_BYTES = frozenset({"memory", "memory_reservation", "size"})
_UNITS = (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024))


def change(field: str, before: object, after: object) -> str:
    """Say how a field differs: ``image: a -> b``, and of several values in one only those that do.

    Of environments and probes only names are told: variables, headers and arguments may be secrets.
    """
    match field, before, after:
        case "env", tuple(), tuple():
            return f"env: {_variables(dict(before), dict(after))}"
        case "secret_env", tuple(), tuple():
            old, new = ({variable.name: variable for variable in variables} for variables in (before, after))
            return f"env by secrets: {_variables(old, new)}"
        case "health", _, _:
            return f"health: {_probes(before, after)}"
        case "labels", tuple(), tuple():
            return f"labels: {_pairs(before, after)} -> {_pairs(after, before)}"
        case _ if dataclasses.is_dataclass(before) and type(before) is type(after):
            names = [field.name for field in dataclasses.fields(before)]
            names = [name for name in names if getattr(before, name) != getattr(after, name)]
            return f"{spelled(field)}: {_members(before, names)} -> {_members(after, names)}"
        case _:
            return f"{spelled(field)}: {_shown(field, before)} -> {_shown(field, after)}"


def spelled(field: str) -> str:
    """Spell a field as manifests do: ``workingDir``."""
    first, *others = _NAMES.get(field, field).split("_")
    return first + "".join(word.capitalize() for word in others)


def quantity(size: int) -> str:
    """Give bytes in the largest unit that divides them: ``32Mi``."""
    return next((f"{size // factor}{unit}" for unit, factor in _UNITS if size and size % factor == 0), str(size))


def _variables(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    words = [f"+ {name}" for name in after if name not in before]
    words += [f"- {name}" for name in before if name not in after]
    words += [f"{name} changed" for name in after if name in before and before[name] != after[name]]
    return ", ".join(words)


def _probes(before: object, after: object) -> str:
    changes = []
    for name in ("startup", "readiness", "liveness"):
        old, new = getattr(before, name), getattr(after, name)
        if old is None and new is not None:
            changes.append(f"+ {name}")
        elif old is not None and new is None:
            changes.append(f"- {name}")
        elif old != new:
            changes.append(f"{name} changed")
    return ", ".join(changes)


def _pairs(these: Pairs, others: Pairs) -> str:
    return ", ".join(f"{name}={value}" for name, value in these if (name, value) not in others) or "-"


def _members(value: object, names: Iterable[str]) -> str:
    return ", ".join(f"{spelled(name)}={_shown(name, getattr(value, name))}" for name in names)


def _shown(field: str, value: object) -> str:
    match value:
        case None | "" | ():
            return "-"
        case bool():
            return str(value).lower()
        case int() if field in _BYTES:
            return quantity(value)
        case int() if field == "cpu_millis":
            return f"{value / 1000:g}"
        case tuple():
            return " ".join(_shown(field, item) for item in value)
        case enum.Enum():
            return str(value.value)
        case network.Subnet():
            return _subnet(value)
        case _ if dataclasses.is_dataclass(value) and type(value).__str__ is object.__str__:
            return _short(value)
        case _:
            return str(value)


def _subnet(value: network.Subnet) -> str:
    parts = (("gateway", value.gateway), ("range", value.range))
    return " ".join((value.subnet, *(f"{name} {word}" for name, word in parts if word is not None)))


def _short(value: object) -> str:
    """Show a small dataclass by its values, as Docker's short forms do: no defaults, and of a flag its name."""
    words = []
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        if item not in (field.default, None, (), False):
            words.append(spelled(field.name) if item is True else _shown(field.name, item))
    return ":".join(words)
