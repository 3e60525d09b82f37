"""Secrets: logins at registries, and values that containers refer to."""

from collections.abc import Iterator

from agent.manifests import registry
from agent.manifests.lowering import draft
from agent.manifests.v1 import secret as v1_secret
from agent.model import secret


def lower(_: registry.Manifest, declared: v1_secret.Secret, sketch: draft.Draft) -> None:
    """Add a Secret's logins and values."""
    sketch.logins += _logins(declared)
    sketch.values |= {value.reference: value for value in _values(declared, sketch.host_key)}


def _logins(manifest: v1_secret.Secret) -> Iterator[secret.Login]:
    for prefix, login in manifest.auths().entries.items():
        yield secret.Login(prefix, manifest.metadata.name, login.user, login.password, login.identity_token)


def _values(manifest: v1_secret.Secret, host_key: bytes) -> Iterator[secret.SecretValue]:
    name = manifest.metadata.name
    for key, value in manifest.values().items():
        yield secret.SecretValue(name, key, secret.fingerprint(host_key, name, key, value), value)
