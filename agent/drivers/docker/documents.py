"""An engine's own document on a container, for people: values of Secrets are hidden in it. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import translate
from agent.kit import canonical
from agent.model import secret


def without_secrets(inspected: Mapping[str, Any]) -> Mapping[str, object]:
    """Return an inspection without values of Secrets; without any value where nobody can say which those are."""
    config = inspected.get("Config") or {}
    env = [str(entry) for entry in config.get("Env") or ()]
    names = {entry.partition("=")[0] for entry in env}
    try:
        declared = translate.recalled(config.get("Labels") or {})
    except canonical.Unreadable:
        hidden = names
    else:
        hidden = set() if declared is None else {variable.name for variable in declared.secret_env}
    if names.isdisjoint(hidden):
        return inspected
    shown = [f"{name}={secret.HIDDEN}" if (name := entry.partition("=")[0]) in hidden else entry for entry in env]
    return {**inspected, "Config": {**config, "Env": shown}}
