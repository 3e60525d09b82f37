"""Which rule is for an image, and whether a verification stands: all that needs no registry."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from agent import errors
from agent.distribution.registry import client
from agent.engine import records
from agent.engine.images import keys, signatures, verified
from agent.oci import reference
from tests import signing

MANIFEST, CONFIG, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
NAME = "registry.example/team/app:1"


@pytest.fixture
def database(tmp_path) -> Iterator[records.Database]:
    with contextlib.closing(records.Database(tmp_path / "records", [signatures.SCHEMA])) as opened:
        yield opened


def _verifier(database: records.Database, *rules: signatures.Rule) -> signatures.Verifier:
    return signatures.Verifier(signatures.Policy(rules), client.RegistryClient(), database)


def _note(database: records.Database, key: pathlib.Path, repository: str = "registry.example/team/app") -> None:
    verified.Verified(database).note(repository, MANIFEST, CONFIG, keys.read(key)[0].fingerprint)


def test_require_verified__no_rule__is_nobodys_business(database) -> None:
    _verifier(database).require_verified("not a reference at all", MANIFEST)
    elsewhere = signatures.Rule("other.example/*", (pathlib.Path("/nowhere"),))
    _verifier(database, elsewhere).require_verified(NAME, MANIFEST)
    assert _verifier(database, elsewhere).is_verified(NAME, MANIFEST)


@pytest.mark.parametrize("match", ["registry.example/team/app", "registry.example/*", "*/app", "*", "registry.*"])
def test_require_verified__nothing_is_verified__is_refused_with_the_rule_and_hint(
    database, tmp_path, match: str
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        _verifier(database, signing.signer(tmp_path).rule(match)).require_verified(NAME, MANIFEST)
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
def test_is_verified__a_name_in_another_form__is_the_same_repository(database, tmp_path, name: str, match: str) -> None:
    assert not _verifier(database, signing.signer(tmp_path).rule(match)).is_verified(name, MANIFEST)


@pytest.mark.parametrize("match", ["registry.example/Team/*", "registry.example/team", "registry.example", "app", ""])
def test_require_verified__a_pattern_of_something_else__does_not_match(database, tmp_path, match: str) -> None:
    assert _verifier(database, signing.signer(tmp_path).rule(match)).is_verified(NAME, MANIFEST)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("LOCALHOST:5000/team/app", "localhost:5000/*"),
        ("localhost:05000/team/app", "localhost:5000/*"),
        ("Docker.io/library/nginx", "docker.io/*"),
        ("registry-1.docker.io/library/nginx", "docker.io/library/*"),
        ("docker.io:443/library/nginx", "docker.io/library/nginx"),
        ("docker.io:0443/nginx", "docker.io/nginx"),
        ("docker.io:80/library/nginx", "docker.io/library/*"),
        ("registry.example:80/team/app", "registry.example/*"),
        ("[0:0::1]:5000/app", "[::1]:5000/app"),
        ("docker.io/library/nginx", "Registry-1.Docker.io:443/library/*"),
        ("registry.example/team/app", "Registry.Example/team/*"),
    ],
)
def test_require_verified__a_registry_in_another_spelling__is_no_way_around_a_rule(
    database, tmp_path, name: str, match: str
) -> None:
    verifier = _verifier(database, signing.signer(tmp_path).rule(match))
    assert not verifier.is_verified(name, MANIFEST)
    assert not verifier.is_verified(f"{name}@{OTHER}", MANIFEST)


async def test_others_are_refused__an_image_that_no_rule_is_for__names_the_setting(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    policy = signatures.Policy((signer.rule("registry.example/*"),), refuse_others=True)
    verifier = signatures.Verifier(policy, client.RegistryClient(), database)
    assert verifier.is_verified(NAME, MANIFEST)
    for name in ("127.0.0.1:5000/team/app:1", "docker.io/library/nginx", "localhost/loaded:latest"):
        with pytest.raises(errors.InvalidArgument) as caught:
            verifier.require_verified(name, MANIFEST)
        assert (caught.value.reason, "verify.default" in caught.value.hint) == ("ImageUnverified", True)
    with pytest.raises(errors.InvalidArgument):
        await verifier.fetch_signature(reference.parse("nginx"), (MANIFEST,), signatures.ImageDigests(MANIFEST, CONFIG))
    nobody = signatures.Verifier(signatures.Policy(refuse_others=True), client.RegistryClient(), database)
    assert not nobody.is_verified("not a reference", MANIFEST)


def test_require_verified__several_rules_match__the_first_counts(database, tmp_path) -> None:
    signer, other = signing.signer(tmp_path), signing.signer(tmp_path, name="other")
    _note(database, signer.path)
    assert _verifier(database, signer.rule("registry.example/*"), other.rule("*")).is_verified(NAME, MANIFEST)
    assert not _verifier(database, other.rule("*"), signer.rule("registry.example/*")).is_verified(NAME, MANIFEST)


def test_require_verified__a_verification__is_of_one_image_in_one_repository(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signer.rule("*"))
    assert verifier.is_verified(NAME, MANIFEST)
    assert verifier.is_verified("registry.example/team/app:2", CONFIG)
    assert not verifier.is_verified(NAME, OTHER)
    assert not verifier.is_verified("registry.example/team/other:1", MANIFEST)
    assert not verifier.is_verified("registry.example:5000/team/app:1", MANIFEST)


def test_require_verified__the_key_is_another_one_now__stands_no_longer(database, tmp_path) -> None:
    signer, other = signing.signer(tmp_path), signing.signer(tmp_path, name="other")
    _note(database, signer.path)
    both = signatures.Rule("*", (other.path, signer.path))
    assert _verifier(database, both).is_verified(NAME, MANIFEST)
    assert not _verifier(database, other.rule("*")).is_verified(NAME, MANIFEST)
    verifier = _verifier(database, signer.rule("*"))
    assert verifier.is_verified(NAME, MANIFEST)
    signer.path.write_bytes(other.path.read_bytes())
    assert not verifier.is_verified(NAME, MANIFEST)


def test_require_verified__a_key_cannot_be_read__is_refused_with_its_file(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signatures.Rule("*", (signer.path, tmp_path / "missing.pub")))
    with pytest.raises(errors.InvalidArgument) as caught:
        verifier.require_verified(NAME, MANIFEST)
    assert (caught.value.reason, "missing.pub" in caught.value.message) == ("SignatureKeyInvalid", True)
    assert not verifier.is_verified(NAME, MANIFEST)


def test_require_verified__a_rule_without_keys__lets_nothing_pass(database, tmp_path) -> None:
    _note(database, signing.signer(tmp_path).path)
    assert not _verifier(database, signatures.Rule("*", ())).is_verified(NAME, MANIFEST)


def test_retain__images_that_are_gone__are_forgotten(database, tmp_path) -> None:
    signer = signing.signer(tmp_path)
    _note(database, signer.path)
    verifier = _verifier(database, signer.rule("*"))
    verified.Verified(database).retain([OTHER, CONFIG])
    assert verifier.is_verified(NAME, MANIFEST)
    verified.Verified(database).retain([OTHER, MANIFEST])
    assert not verifier.is_verified(NAME, MANIFEST)


def test_require_verified__records_of_an_agent_that_knew_no_signatures__nothing_is_verified(tmp_path) -> None:
    path = tmp_path / "old"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE images (reference TEXT)")
    with contextlib.closing(records.Database(path, [signatures.SCHEMA], read_only=True)) as database:
        assert not _verifier(database, signing.signer(tmp_path).rule("*")).is_verified(NAME, MANIFEST)
