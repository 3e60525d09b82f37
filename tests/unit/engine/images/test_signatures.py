"""Which rule is for an image, and whether a verification stands: all that needs no registry."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from agent.engine import errors, records
from agent.engine.images import keys, signatures, verified
from agent.engine.registry import client
from tests import signing

MANIFEST, CONFIG, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
NAME = "registry.example/team/app:1"


@pytest.fixture
def database(tmp_path) -> Iterator[records.Database]:
    with contextlib.closing(records.Database(tmp_path / "records", [signatures.SCHEMA])) as opened:
        yield opened


def _verifier(database: records.Database, *rules: signatures.Rule) -> signatures.Verifier:
    return signatures.Verifier(rules, client.RegistryClient(), database)


def _note(database: records.Database, key: pathlib.Path, repository: str = "registry.example/team/app") -> None:
    verified.Verified(database).note(repository, MANIFEST, CONFIG, keys.read(key)[0].fingerprint)


def test_allow__no_rule__is_nobodys_business(database) -> None:
    _verifier(database).allow("not a reference at all", MANIFEST)
    elsewhere = signatures.Rule("other.example/*", (pathlib.Path("/nowhere"),))
    _verifier(database, elsewhere).allow(NAME, MANIFEST)


@pytest.mark.parametrize("match", ["registry.example/team/app", "registry.example/*", "*/app", "*", "registry.*"])
def test_allow__nothing_is_verified__is_refused_with_the_rule_and_the_way_out(database, tmp_path, match: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        _verifier(database, signing.signer(tmp_path).rule(match)).allow(NAME, MANIFEST)
    assert caught.value.reason == "ImageUnverified"
    assert caught.value.message == f"{NAME} must be signed ({match}), and of this image that is not verified"
    assert caught.value.hint == "it is verified when it is pulled from its registry: declare it, or apply again"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("docker.io/nginx:1", "docker.io/library/*"),
        ("localhost/app:latest", "localhost/*"),
        ("not a reference at all", "registry.example/*"),
    ],
)
def test_allow__a_name_in_another_form__is_the_same_repository(database, tmp_path, name: str, match: str) -> None:
    assert not _verifier(database, signing.signer(tmp_path).rule(match)).allows(name, MANIFEST)


@pytest.mark.parametrize("match", ["Registry.example/*", "registry.example/team", "registry.example", "app", ""])
def test_allow__a_pattern_of_something_else__does_not_match(database, tmp_path, match: str) -> None:
    assert _verifier(database, signing.signer(tmp_path).rule(match)).allows(NAME, MANIFEST)


def test_allow__several_rules_match__the_first_counts(database, tmp_path) -> None:
    signer, other = signing.signer(tmp_path), signing.signer(tmp_path, name="other")
    _note(database, signer.path)
    assert _verifier(database, signer.rule("registry.example/*"), other.rule("*")).allows(NAME, MANIFEST)
    assert not _verifier(database, other.rule("*"), signer.rule("registry.example/*")).allows(NAME, MANIFEST)


def test_allow__a_verification__is_of_one_image_in_one_repository(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signer.rule("*"))
    assert verifier.allows(NAME, MANIFEST)
    assert verifier.allows("registry.example/team/app:2", CONFIG)
    assert not verifier.allows(NAME, OTHER)
    assert not verifier.allows("registry.example/team/other:1", MANIFEST)
    assert not verifier.allows("registry.example:5000/team/app:1", MANIFEST)


def test_allow__the_key_is_another_one_now__stands_no_longer(database, tmp_path) -> None:
    signer, other = signing.signer(tmp_path), signing.signer(tmp_path, name="other")
    _note(database, signer.path)
    both = signatures.Rule("*", (other.path, signer.path))
    assert _verifier(database, both).allows(NAME, MANIFEST)
    assert not _verifier(database, other.rule("*")).allows(NAME, MANIFEST)
    verifier = _verifier(database, signer.rule("*"))
    assert verifier.allows(NAME, MANIFEST)
    signer.path.write_bytes(other.path.read_bytes())
    assert not verifier.allows(NAME, MANIFEST)


def test_allow__a_key_cannot_be_read__is_refused_with_its_file(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signatures.Rule("*", (signer.path, tmp_path / "missing.pub")))
    with pytest.raises(errors.Refused) as caught:
        verifier.allow(NAME, MANIFEST)
    assert (caught.value.reason, "missing.pub" in caught.value.message) == ("SignatureKeyInvalid", True)
    assert not verifier.allows(NAME, MANIFEST)


def test_allow__a_rule_without_keys__lets_nothing_pass(database, tmp_path) -> None:
    _note(database, signing.signer(tmp_path).path)
    assert not _verifier(database, signatures.Rule("*", ())).allows(NAME, MANIFEST)


def test_retain__images_that_are_gone__are_forgotten(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signer.rule("*"))
    verified.Verified(database).retain([OTHER, CONFIG])
    assert verifier.allows(NAME, MANIFEST)
    verified.Verified(database).retain([OTHER, MANIFEST])
    assert not verifier.allows(NAME, MANIFEST)


def test_allow__records_of_an_agent_that_knew_no_signatures__nothing_is_verified(tmp_path) -> None:
    path = tmp_path / "old"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE images (reference TEXT)")
    with contextlib.closing(records.Database(path, [signatures.SCHEMA], read_only=True)) as database:
        assert not _verifier(database, signing.signer(tmp_path).rule("*")).allows(NAME, MANIFEST)
