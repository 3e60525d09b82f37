"""Signatures by Ed25519ph (RFC 8032, section 5.1): Ed25519 over a hash, with which cosign signs what it does not hold.

``cryptography`` has only plain Ed25519. Nothing here is secret, so it need not run in constant time; a signature is
checked in some milliseconds, once for an image.
"""

import hashlib

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_PREFIX = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
"""``dom2(1, "")``: prehashed, without a context."""
_HALF, _WHOLE = 32, 64
"""Bytes of a point or a number, and of a signature."""

Point = tuple[int, int, int, int]
"""In extended coordinates: X, Y, Z and T, with x = X/Z, y = Y/Z and xy = T/Z."""
_NEUTRAL: Point = (0, 1, 1, 0)


def verify(key: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether a signature over data is by a public key (32 bytes); a malformed one is not."""
    if len(key) != _HALF or len(signature) != _WHOLE:
        return False
    signer, commitment = _point(key), _point(signature[:_HALF])
    answer = int.from_bytes(signature[_HALF:], "little")
    if signer is None or commitment is None or answer >= _ORDER:
        return False
    hashed = hashlib.sha512(_PREFIX + signature[:_HALF] + key + hashlib.sha512(data).digest()).digest()
    challenge = int.from_bytes(hashed, "little") % _ORDER
    return _equal(_times(answer, _base()), _sum(commitment, _times(challenge, signer)))


def _base() -> Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    x = _x(y, 0)
    assert x is not None  # noqa: S101 - it is on the curve
    return (x, y, 1, x * y % _P)


def _point(encoded: bytes) -> Point | None:
    """Read a point; ``None`` for one that is not on the curve, or is not written as it has to be."""
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _x(y, sign) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if square == 0:
        return None if sign else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P:
        return None
    return x if x & 1 == sign else _P - x


def _sum(first: Point, second: Point) -> Point:
    a = (first[1] - first[0]) * (second[1] - second[0]) % _P
    b = (first[1] + first[0]) * (second[1] + second[0]) % _P
    c = 2 * first[3] * second[3] * _D % _P
    d = 2 * first[2] * second[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(number: int, point: Point) -> Point:
    total = _NEUTRAL
    while number:
        if number & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        number >>= 1
    return total


def _equal(first: Point, second: Point) -> bool:
    return (first[0] * second[2] - second[0] * first[2]) % _P == 0 and (
        first[1] * second[2] - second[1] * first[2]
    ) % _P == 0
