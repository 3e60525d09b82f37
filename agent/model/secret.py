"""What a Secret says that is used: logins at registries, and values that containers refer to.

Nothing of it is ever an object of the runtime. A reference is compared by a fingerprint that is keyed with a key of the
host: it tells that a value has changed, and nobody without the key can try passwords by it.
"""

import dataclasses
import hashlib
import hmac

from agent.kit import frozen

HIDDEN = "(hidden)"


_NO_KEY = "none"
"""Stands for a key that is not there yet: whoever changes things makes one."""


@frozen.value(order=True)
class Login:
    """A login that pulls show. Its text never shows it."""

    place: str
    """A registry, or a part of one: ``registry.example/team``."""
    secret: str
    """The name of the Secret that says it."""
    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)

    def hidden(self) -> "Login":
        """Give what may be shown of it."""
        return dataclasses.replace(
            self,
            user=self.user and HIDDEN,
            password=self.password and HIDDEN,
            identity_token=self.identity_token and HIDDEN,
        )


@frozen.value(order=True)
class SecretVariable:
    """A variable of a container's environment whose value is a Secret's: the value is nowhere in here."""

    name: str
    secret: str
    """The Secret's name."""
    key: str
    """Which of its values."""
    fingerprint: str
    """``fingerprint`` of the value; empty where the host's key was not at hand."""

    @property
    def reference(self) -> tuple[str, str]:
        """Return the Secret and its key."""
        return self.secret, self.key

    def __str__(self) -> str:
        """Return the reference as a sentence has it."""
        return f"key {self.key} of Secret/{self.secret}"


@frozen.value(order=True)
class SecretValue:
    """A value that a container refers to. Its text never shows it, and being bytes it cannot be written as JSON."""

    secret: str
    key: str
    fingerprint: str
    value: bytes = dataclasses.field(repr=False)

    @property
    def reference(self) -> tuple[str, str]:
        """Return the Secret and its key."""
        return self.secret, self.key


def fingerprint(host_key: bytes, secret: str, key: str, value: bytes) -> str:
    """Return ``hmac-sha256:`` and 64 hexadecimal digits; empty without a key, as it would be a bare hash then.

    Equal values have equal fingerprints only on one host and in one place: neither two hosts nor two Secrets can be
    compared by them.
    """
    if not host_key:
        return ""
    parts = (secret.encode(), key.encode(), value)
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return f"hmac-sha256:{hmac.new(host_key, message, hashlib.sha256).hexdigest()}"


def key_id(host_key: bytes) -> str:
    """Return by what keys are told apart, and nothing can be learnt of them; ``none`` without a key."""
    return hmac.new(host_key, b"trimtab.dev/secrets.key", hashlib.sha256).hexdigest()[:16] if host_key else _NO_KEY
