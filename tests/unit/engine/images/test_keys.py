"""Public keys as operators have them, and whether a signature is by one."""

import pathlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent import errors
from agent.engine.images import keys
from tests import signing

DATA = b"what is signed"


def _failure(path: pathlib.Path) -> str:
    with pytest.raises(errors.InvalidArgument) as caught:
        keys.read(path)
    assert caught.value.reason == "SignatureKeyInvalid"
    assert str(path) in caught.value.message
    assert "cosign public-key" in caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("kind", signing.KINDS)
def test_key__has_signed__knows_its_own_signature_and_no_other(tmp_path, kind: str) -> None:
    signer, other = signing.signer(tmp_path, kind), signing.signer(tmp_path, kind, "other")
    (key,) = keys.read(signer.path)
    signature = signer.sign(DATA)
    assert key.has_signed(signature, DATA)
    assert not key.has_signed(signature, DATA + b".")
    assert not key.has_signed(signature[:-1] + bytes([signature[-1] ^ 1]), DATA)
    assert not key.has_signed(other.sign(DATA), DATA)
    for garbage in (b"", b"\0", signature + b"\0", signature[:-1], b"\x30\x06\x02\x01\x00\x02\x01\x00", b"x" * 6000):
        assert not key.has_signed(garbage, DATA)


def test_key__by_another_kind_of_signature__has_not_signed(tmp_path) -> None:
    signers = [signing.signer(tmp_path, kind, kind) for kind in signing.KINDS]
    for signer in signers:
        (key,) = keys.read(signer.path)
        assert [key.has_signed(other.sign(DATA), DATA) for other in signers] == [other is signer for other in signers]


def test_read__several_keys_in_one_file__are_all_known(tmp_path) -> None:
    signers = [signing.signer(tmp_path, "P-256", str(number)) for number in range(3)]
    both = tmp_path / "all.pub"
    both.write_bytes(b"# ours\n" + b"\n".join(signer.path.read_bytes() for signer in signers))
    assert [key.fingerprint for key in keys.read(both)] == [keys.read(signer.path)[0].fingerprint for signer in signers]


def test_fingerprint__of_the_same_key_written_otherwise__is_the_same(tmp_path) -> None:
    signer = signing.signer(tmp_path, "RSA")
    form = serialization.PublicFormat.PKCS1
    other = tmp_path / "pkcs1.pub"
    other.write_bytes(signer.key.public_key().public_bytes(serialization.Encoding.PEM, form))
    assert keys.read(other) == keys.read(signer.path)


@pytest.mark.parametrize(
    ("kind", "why"),
    [("secp256k1", "it must be ECDSA"), ("DSA", "it must be ECDSA"), ("RSA-1024", "1024 bits is too short")],
)
def test_read__a_key_of_a_kind_that_does_not_count__is_refused(tmp_path, kind: str, why: str) -> None:
    assert why in _failure(signing.signer(tmp_path, kind).path)


def test_read__one_of_several_does_not_count__is_refused_as_a_whole(tmp_path) -> None:
    good, bad = signing.signer(tmp_path), signing.signer(tmp_path, "RSA-1024", "bad")
    good.path.write_bytes(good.path.read_bytes() + bad.path.read_bytes())
    assert "too short" in _failure(good.path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_read__no_public_key__is_refused(tmp_path, data: bytes) -> None:
    path = tmp_path / "cosign.pub"
    path.write_bytes(data)
    assert "it is no public key in PEM form" in _failure(path)


def test_read__a_key_behind_much_else__is_refused(tmp_path) -> None:
    signer = signing.signer(tmp_path)
    signer.path.write_bytes(signer.path.read_bytes() + b"#" * 100_000)
    assert "it is no public key in PEM form" in _failure(signer.path)


def test_read__a_private_key__is_refused(tmp_path) -> None:
    signer = signing.signer(tmp_path)
    form = serialization.PrivateFormat.PKCS8
    pem = signer.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    signer.path.write_bytes(pem)
    assert "it is no public key in PEM form" in _failure(signer.path)


def test_read__no_such_file_or_none_at_all__is_refused(tmp_path) -> None:
    assert "No such file" in _failure(tmp_path / "missing.pub")
    assert "it is no file" in _failure(tmp_path)


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("P-384", hashes.SHA384()), ("P-521", hashes.SHA512()), ("P-384", hashes.SHA256())]
)
def test_key__ecdsa_with_the_hash_of_its_curve__has_signed(tmp_path, kind: str, algorithm) -> None:
    signer = signing.signer(tmp_path, kind)
    (key,) = keys.read(signer.path)
    assert key.has_signed(signer.key.sign(DATA, ec.ECDSA(algorithm)), DATA)
    assert not key.has_signed(signer.key.sign(DATA, ec.ECDSA(hashes.SHA224())), DATA)


def test_key__p_256_with_another_hash__has_not_signed(tmp_path) -> None:
    signer = signing.signer(tmp_path, "P-256")
    (key,) = keys.read(signer.path)
    assert not key.has_signed(signer.key.sign(DATA, ec.ECDSA(hashes.SHA384())), DATA)


def test_read__again__is_read_from_the_disk_only_once_it_is_another_file(tmp_path, monkeypatch) -> None:
    signer, other = signing.signer(tmp_path), signing.signer(tmp_path, name="other")
    first = keys.read(signer.path)
    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "open", lambda *_, **__: pytest.fail("the file is read again"))
        assert keys.read(signer.path) == first
    signer.path.write_bytes(other.path.read_bytes())
    assert keys.read(signer.path) == keys.read(other.path)
    signer.path.unlink()
    assert "No such file" in _failure(signer.path)
