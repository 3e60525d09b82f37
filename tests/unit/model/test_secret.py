"""References to Secrets: fingerprints say that a value has changed, and nothing else of it."""

import hashlib

import pytest

from agent.kit import canonical
from agent.model import secret

KEY = b"k" * 32


def test_fingerprint__same_value__is_the_same_on_one_host_only() -> None:
    first = secret.fingerprint(KEY, "db", "password", b"s3cr3t")
    assert first == secret.fingerprint(KEY, "db", "password", b"s3cr3t")
    assert first != secret.fingerprint(b"o" * 32, "db", "password", b"s3cr3t")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("db", "password", b"other"),
        ("db", "user", b"s3cr3t"),
        ("web", "password", b"s3cr3t"),
        ("dbp", "assword", b"s3cr3t"),
    ],
)
def test_fingerprint__another_value_key_or_secret__differs(name: str, key: str, value: bytes) -> None:
    assert secret.fingerprint(KEY, name, key, value) != secret.fingerprint(KEY, "db", "password", b"s3cr3t")


def test_fingerprint__is_no_bare_hash__and_without_a_key_there_is_none() -> None:
    fingerprint = secret.fingerprint(KEY, "db", "password", b"s3cr3t")
    assert hashlib.sha256(b"s3cr3t").hexdigest() not in fingerprint
    assert secret.fingerprint(b"", "db", "password", b"s3cr3t") == ""


def test_value__cannot_be_printed_or_written_as_json() -> None:
    value = secret.SecretValue("db", "password", "hmac-sha256:1", b"s3cr3t")
    assert "s3cr3t" not in f"{value} {value!r}"
    with pytest.raises(TypeError, match="no canonical form for bytes"):
        canonical.dumps(value)
