"""Ed25519ph: the specification's own example, signatures made here, and whatever is none."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from agent.engine.images import algorithms, ed25519ph
from tests import signing

KEY = bytes.fromhex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf")
SECRET = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)
"""RFC 8032, section 7.3, over ``abc``."""


def _sign(secret: bytes, data: bytes) -> bytes:
    """Sign as RFC 8032 says (5.1.7)."""
    hashed = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    message = hashlib.sha512(data).digest()
    nonce = _number(ed25519ph._PREFIX + hashed[32:] + message)
    commitment = _encoded(ed25519ph._times(nonce, ed25519ph._base()))
    answer = (nonce + _number(ed25519ph._PREFIX + commitment + key + message) * scalar) % ed25519ph._ORDER
    return commitment + answer.to_bytes(32, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ed25519ph._ORDER


def _encoded(point: ed25519ph.Point) -> bytes:
    inverse = pow(point[2], -1, ed25519ph._P)
    x, y = point[0] * inverse % ed25519ph._P, point[1] * inverse % ed25519ph._P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_verify__the_specifications_example__is_a_signature() -> None:
    assert ed25519ph.verify(KEY, SIGNATURE, b"abc")
    assert _sign(SECRET, b"abc") == SIGNATURE
    assert not ed25519ph.verify(KEY, SIGNATURE, b"abd")


@pytest.mark.parametrize("position", range(0, 64, 7))
def test_verify__a_bit_changed__is_none(position: int) -> None:
    wrong = bytearray(SIGNATURE)
    wrong[position] ^= 0x10
    assert not ed25519ph.verify(KEY, bytes(wrong), b"abc")


def test_verify__a_number_beyond_the_order__is_none() -> None:
    more = int.from_bytes(SIGNATURE[32:], "little") + ed25519ph._ORDER
    assert not ed25519ph.verify(KEY, SIGNATURE[:32] + more.to_bytes(32, "little"), b"abc")


@given(st.binary(max_size=70), st.binary(max_size=40))
def test_verify__anything__is_none_and_raises_nothing(signature: bytes, key: bytes) -> None:
    assert not ed25519ph.verify(key, signature, b"abc")
    assert not ed25519ph.verify(KEY, signature, b"abc")


def test_verify__an_ed25519_signature_over_the_same__is_none() -> None:
    secret = ed25519.Ed25519PrivateKey.from_private_bytes(SECRET)
    assert not ed25519ph.verify(KEY, secret.sign(b"abc"), b"abc")
    assert not ed25519ph.verify(KEY, secret.sign(hashlib.sha512(b"abc").digest()), b"abc")


def test_algorithm__of_an_ed25519_key__takes_both() -> None:
    secret = ed25519.Ed25519PrivateKey.generate()
    _, check = algorithms.of(signing.pem(secret))
    for signature in (secret.sign(b"x"), _sign(secret.private_bytes_raw(), b"x")):
        assert check(signature, b"x")
        assert not check(signature, b"y")
