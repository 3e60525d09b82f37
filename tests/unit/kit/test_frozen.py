"""Frozen values are what ``dataclasses.dataclass(frozen=True, slots=True)`` makes, whatever is done with them."""

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

from agent.kit import frozen


def classes(
    decorate: Callable[[Any], Any], decorate_ordered: Callable[[Any], Any], keywords: Callable[[Any], Any]
) -> Any:
    """Return classes of all kinds, made by the given decorators."""

    @decorate
    class Point:
        """A point."""

        x: int
        y: int = 2
        tags: list[str] = dataclasses.field(default_factory=list, hash=False)
        note: str = dataclasses.field(default="", compare=False)
        hidden: str = dataclasses.field(default="h", repr=False, metadata={"a": 1})
        length: int = dataclasses.field(init=False, default=7)
        made: list[int] = dataclasses.field(init=False, default_factory=lambda: [1], hash=False)

        @property
        def double(self) -> int:
            return self.x * 2

    @decorate
    class Above(Point):
        """A point with more."""

        z: int = 3

        def __str__(self) -> str:
            return f"above {self.z}"

    @decorate_ordered
    class Version:
        """Ordered."""

        major: int
        minor: int = 0
        text: str = dataclasses.field(default="", compare=False)

    @keywords
    class Settings:
        """By keywords."""

        a: int
        b: str = "b"

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("negative")

    @decorate
    class Empty:
        """Nothing."""

    @decorate
    class Own:
        """Has methods of its own."""

        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

        def __repr__(self) -> str:
            return "own"

    return Point, Above, Version, Settings, Empty, Own


STANDARD = classes(
    dataclasses.dataclass(frozen=True, slots=True),
    dataclasses.dataclass(frozen=True, slots=True, order=True),
    dataclasses.dataclass(frozen=True, slots=True, kw_only=True),
)
OURS = classes(frozen.value, frozen.value(order=True), frozen.value(kw_only=True))


def outcome(act: Callable[[], object]) -> object:
    """Return what an act gives, or what it raises."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other one has to raise it too
        return type(error), str(error).replace("classes.<locals>.", "")


ACTS: list[Callable[..., object]] = [
    lambda point, *_: repr(point(1)),
    lambda point, *_: repr(point(1, 3, ["t"], "n", "x")),
    lambda point, *_: point(1) == point(1),
    lambda point, *_: point(1) == point(2),
    lambda point, *_: point(1, note="a") == point(1, note="b"),
    lambda point, above, *_: point(1) == above(1),
    lambda point, *_: point(1) == 1,
    lambda point, *_: hash(point(1)) == hash(point(1, note="x", tags=["y"])),
    lambda point, *_: hash(point(1)) == hash(point(2)),
    lambda point, *_: point(1).tags is point(1).tags,
    lambda point, *_: (point(1).length, point(1).made, point(1).double, point(1).hidden),
    lambda point, *_: point(),
    lambda point, *_: point(1, 2, [], "", "", 9),
    lambda point, *_: point(1, z=2),
    lambda point, *_: setattr(point(1), "x", 2),
    lambda point, *_: setattr(point(1), "x", 2) or delattr(point(1), "x"),
    lambda point, *_: delattr(point(1), "x"),
    lambda point, *_: vars(point(1)),
    lambda point, *_: dataclasses.replace(point(1, tags=["t"]), y=5).y,
    lambda point, *_: dataclasses.replace(point(1), length=5),
    lambda point, *_: dataclasses.asdict(point(1)),
    lambda point, *_: [(field.name, field.default, field.metadata.get("a")) for field in dataclasses.fields(point)[:2]],
    lambda point, *_: point.__match_args__,
    lambda point, *_: point.__slots__,
    lambda point, *_: str(inspect.signature(point.__init__)).partition(", tags")[0],
    lambda point, *_: typing.get_type_hints(point.__init__)["x"],
    lambda point, *_: copy.copy(point(1, tags=["t"])).tags,
    lambda point, *_: copy.deepcopy(point(1, tags=["t"])).tags,
    lambda point, *_: dataclasses.is_dataclass(point),
    lambda _, above, *__: (repr(above(1)), str(above(1)), above(1, z=9).z, above.__slots__),
    lambda _, above, *__: dataclasses.replace(above(1), z=4) == above(1, z=4),
    lambda *all_of_them: min([all_of_them[2](2), all_of_them[2](1, 5), all_of_them[2](1, 2)]).minor,
    lambda *all_of_them: (all_of_them[2](1) < all_of_them[2](1, text="x"), all_of_them[2](1) <= all_of_them[2](1)),
    lambda *all_of_them: all_of_them[2](1) < 1,
    lambda *all_of_them: all_of_them[0](1) < all_of_them[0](2),
    lambda *all_of_them: all_of_them[3](1),
    lambda *all_of_them: repr(all_of_them[3](a=1)),
    lambda *all_of_them: all_of_them[3](a=-1),
    lambda *all_of_them: (
        all_of_them[4]() == all_of_them[4](),
        hash(all_of_them[4]()) == hash(()),
        repr(all_of_them[4]()),
    ),
    lambda *all_of_them: (all_of_them[5](1) == all_of_them[5](2), hash(all_of_them[5](1)), repr(all_of_them[5](1))),
]


@pytest.mark.parametrize("number", range(len(ACTS)))
def test_value__whatever_is_done__is_as_with_a_dataclass(number: int) -> None:
    assert outcome(lambda: ACTS[number](*OURS)) == outcome(lambda: ACTS[number](*STANDARD))


@frozen.value
class Kept:
    """Can be found by its name, for pickle."""

    a: int
    b: tuple[str, ...] = ()


def test_value__pickled__is_the_same() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, ("x",)))) == Kept(1, ("x",))  # noqa: S301 - our own


def test_value__holding_itself__is_printed() -> None:
    inner: list[object] = []
    point = OURS[0](1, tags=inner)
    inner.append(point)
    assert "tags=[...]" in repr(point)


def test_value__bad_class__is_refused_as_by_a_dataclass() -> None:
    for decorate in (frozen.value, dataclasses.dataclass(frozen=True, slots=True)):
        with pytest.raises(ValueError, match="mutable default"):
            decorate(type("Bad", (), {"__annotations__": {"a": list}, "a": []}))
        with pytest.raises(TypeError, match="non-default argument"):
            decorate(type("Bad", (), {"__annotations__": {"a": int, "b": int}, "a": 1}))
