"""Values restored from their plain form."""

import dataclasses
import enum
import ipaddress
import json
from typing import Literal

import pytest

from agent.kit import canonical


class Colour(enum.StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Square:
    """One of a union."""

    side: float
    type: Literal["square"] = "square"


@dataclasses.dataclass(frozen=True)
class Circle:
    """The other one."""

    radius: float
    type: Literal["circle"] = "circle"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A field of each sort."""

    name: str
    count: int
    colour: Colour
    shapes: tuple[Square | Circle, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    words: frozenset[str] = frozenset()
    framed: bool = False
    inner: Square | None = None


FULL = Picture(
    name="x",
    count=2,
    colour=Colour.BLUE,
    shapes=(Square(1.5), Circle(2.0)),
    pairs=(("a", "b"),),
    size=3,
    words=frozenset({"p", "q"}),
    framed=True,
    inner=Square(1),
)


@pytest.mark.parametrize("value", [FULL, Picture("y", 0, Colour.RED)])
def test_restore__what_plain_made__is_the_same_value_again(value: Picture) -> None:
    assert canonical.restore(Picture, json.loads(canonical.dumps(value))) == value


def test_restore__missing_fields__take_their_defaults() -> None:
    assert canonical.restore(Picture, {"name": "y", "count": 0, "colour": "red"}) == Picture("y", 0, Colour.RED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "2"}, r"Picture\.count: '2' is not int"),
        ({"count": True}, r"Picture\.count: True is not int"),
        ({"framed": 1}, r"Picture\.framed: 1 is not bool"),
        ({"colour": "green"}, r"Picture\.colour: 'green' is not Colour"),
        ({"shapes": {}}, r"Picture\.shapes: {} is not list"),
        ({"shapes": [{"type": "line"}]}, r"Picture\.shapes\[0\]"),
        ({"shapes": [{"type": "square"}]}, r"Picture\.shapes\[0\]: the field 'side' is missing"),
        ({"shapes": [{"type": "square", "side": True}]}, r"Picture\.shapes\[0\]\.side: True is not float"),
        ({"pairs": [["a"]]}, r"Picture\.pairs\[0\]"),
        ({"inner": 3}, r"Picture\.inner: 3 is not Square"),
        ({"inner": {"side": 1, "type": "circle"}}, r"Picture\.inner\.type: 'circle' is not"),
        ({"other": 1}, r"Picture: there is no field 'other'"),
    ],
)
def test_restore__what_cannot_be__is_refused_with_its_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical.restore(Picture, canonical.plain(FULL) | change)


@dataclasses.dataclass(frozen=True)
class _Addressed:
    """Values that are written as text."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
    subnet: ipaddress.IPv4Network
    several: tuple[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address], ...] = ()


@pytest.mark.parametrize("address", [None, "10.0.0.1", "fd00::1"])
def test_restore__addresses__come_back_from_their_text(address: str | None) -> None:
    value = None if address is None else ipaddress.ip_address(address)
    subnet = ipaddress.IPv4Network("10.0.0.0/24")
    addressed = _Addressed(value, subnet, () if value is None else (("lan", value),))
    assert canonical.plain(addressed)["address"] == address
    assert canonical.loads(_Addressed, canonical.dumps(addressed)) == addressed


@pytest.mark.parametrize("text", ["", "10.0.0", 7, "10.0.0.0/24"])
def test_restore__text_that_is_no_address__says_where(text: object) -> None:
    with pytest.raises(canonical.Unreadable, match=r"^_Addressed\.address: "):
        canonical.restore(_Addressed, {"address": text, "subnet": "10.0.0.0/24"})
