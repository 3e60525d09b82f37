"""Looking up values of Secrets where they are used."""

import pytest

from agent import errors
from agent.model import secret
from agent.reasons import Reason
from agent.runtime import secrets

VALUE = secret.SecretValue("db", "password", "f1", b"s3cr3t")
VARIABLE = secret.SecretVariable("PASSWORD", "db", "password", "f1")


@pytest.fixture
def store() -> secrets.SecretStore:
    store = secrets.SecretStore()
    store.use((VALUE,))
    return store


def test_resolve__known_value__is_the_variables(store: secrets.SecretStore) -> None:
    assert store.resolve((VARIABLE,)) == (("PASSWORD", "s3cr3t"),)
    assert store.resolve(()) == ()


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (secret.SecretVariable("A", "db", "user", "f1"), "the value of A, key user of Secret/db, is not known"),
        (
            secret.SecretVariable("A", "db", "password", "f0"),
            "key password of Secret/db, has changed since this was made",
        ),
    ],
)
def test_resolve__unknown_or_rotated__is_unavailable_with_the_way_out(
    store: secrets.SecretStore, variable: secret.SecretVariable, message: str
) -> None:
    with pytest.raises(errors.Unavailable, match=message) as caught:
        store.resolve((VARIABLE, variable))
    assert caught.value.reason is Reason.SECRET_UNAVAILABLE
    assert caught.value.hint
    assert "s3cr3t" not in str(caught.value)


def test_use__others__forgets_the_earlier_ones(store: secrets.SecretStore) -> None:
    store.use(())
    with pytest.raises(errors.Unavailable):
        store.resolve((VARIABLE,))


def test_store__prints_no_value(store: secrets.SecretStore) -> None:
    assert "s3cr3t" not in repr(store)
