"""Where fingerprints of Secrets' values cannot be compared, as they were made with another key than the host's.

References are compared then, and values are taken for unchanged: what is not known is said, and nothing planned for it.
"""

import dataclasses

from agent.model import container, secret, state
from agent.model.key import Kind, ObjectKey, ownership_of

Uncompared = tuple[tuple[ObjectKey, str], ...]


def take_for_unchanged(
    desired: state.DesiredState, observed: state.ObservedState, owner: str
) -> tuple[state.DesiredState, Uncompared]:
    """Return what is declared, with the fingerprints of what is there; and which variables are not compared."""
    current = _current(observed, owner)
    pairs = [(config, _with_current(config, current)) for config in desired.containers]
    containers = tuple(taken for _, taken in pairs)
    uncompared = tuple((ObjectKey(Kind.CONTAINER, config.name), _names(config, taken)) for config, taken in pairs)
    values = {(value.secret, value.key): value for value in desired.secrets}
    secrets = {
        dataclasses.replace(values[variable.reference], fingerprint=variable.fingerprint)
        for config in containers
        for variable in config.secret_env
        if variable.reference in values
    }
    changed = dataclasses.replace(desired.with_objects({Kind.CONTAINER: containers}), secrets=tuple(sorted(secrets)))
    return changed, tuple((key, names) for key, names in uncompared if names)


_Current = dict[tuple[str, str, tuple[str, str]], str]
"""Fingerprints by container, variable, and Secret with key."""


def _current(observed: state.ObservedState, owner: str) -> _Current:
    return {
        (item.config.name, variable.name, variable.reference): variable.fingerprint
        for item in sorted(observed.containers, key=lambda item: item.name == item.config.name)
        if (ownership := ownership_of(item.labels)) is not None and ownership.owner == owner
        for variable in item.config.secret_env
    }


def _with_current(config: container.ContainerConfig, current: _Current) -> container.ContainerConfig:
    def taken(variable: secret.SecretVariable) -> secret.SecretVariable:
        fingerprint = current.get((config.name, variable.name, variable.reference), variable.fingerprint)
        return dataclasses.replace(variable, fingerprint=fingerprint)

    return dataclasses.replace(config, secret_env=tuple(taken(variable) for variable in config.secret_env))


def _names(config: container.ContainerConfig, taken: container.ContainerConfig) -> str:
    """Return the variables whose fingerprints are those of what is there."""
    differing = (declared for declared in config.secret_env if declared not in taken.secret_env)
    return ", ".join(f"{declared.name} ({declared})" for declared in differing)
