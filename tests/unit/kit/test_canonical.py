"""Fields that a later release adds, or drops: what is written, hashed and read of them."""

import dataclasses
import enum
import json
from typing import ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.kit import canonical


class Mode(enum.StrEnum):
    """A choice."""

    FAST = "fast"


class Number(enum.Enum):
    """A choice that is no text."""

    ONE = 1


@dataclasses.dataclass(frozen=True)
class Inner:
    """A part as an earlier release had it."""

    size: int


@dataclasses.dataclass(frozen=True)
class Before:
    """A model as an earlier release had it."""

    name: str
    inner: Inner
    mode: Mode = Mode.FAST


@dataclasses.dataclass(frozen=True)
class LaterInner:
    """A part with another field."""

    size: int
    unit: str = dataclasses.field(metadata=canonical.absent("bytes"))


@dataclasses.dataclass(frozen=True)
class Later:
    """A model with another field, and without one."""

    RETIRED_FIELDS: ClassVar = frozenset({"mode"})
    name: str
    inner: LaterInner
    driver: str | None = dataclasses.field(metadata=canonical.absent(None))
    words: tuple[str, ...] = dataclasses.field(default=("x",), metadata=canonical.absent(()))


BEFORE = Before("a", Inner(1))
TEXT = b'{"inner":{"size":1},"mode":"fast","name":"a"}'
LATER = Later("a", LaterInner(1, "bytes"), None, ())


def test_loads__of_an_earlier_release__absent_fields_mean_what_is_declared() -> None:
    assert canonical.dumps(BEFORE) == TEXT
    assert canonical.loads(Later, TEXT) == LATER, "by what is declared, and not by the default of today"


def test_dumps__fields_with_their_absent_value__are_left_out() -> None:
    assert canonical.dumps(LATER) == b'{"inner":{"size":1},"name":"a"}'
    used = Later("a", LaterInner(1, "pages"), "nfs", ("y",))
    assert canonical.plain(used) == {
        "name": "a",
        "inner": {"size": 1, "unit": "pages"},
        "driver": "nfs",
        "words": ["y"],
    }
    assert canonical.loads(Later, canonical.dumps(used)) == used


def test_digest__a_field_with_its_absent_value__is_no_part() -> None:
    assert canonical.digest(LaterInner(1, "bytes")) == canonical.digest(Inner(1))
    assert canonical.digest(LaterInner(1, "pages")) != canonical.digest(Inner(1))


@pytest.mark.parametrize(
    "text",
    [
        b'{"inner":{"size":1,"unit":"bytes"},"name":"a"}',
        b'{"inner":{"size":1},"mode":"slow","name":"a"}',
        b'{"driver":null,"inner":{"size":1},"name":"a"}',
    ],
)
def test_loads__of_a_newer_release__is_unknown(text: bytes) -> None:
    with pytest.raises(canonical.Unknown):
        canonical.loads(Before, text)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"name":"a"}', b'{"name":1,"inner":{"size":1}}', b"[" * 100_000])
def test_loads__damaged__is_unreadable_and_not_a_newer_releases(text: bytes) -> None:
    with pytest.raises(canonical.Unreadable) as failure:
        canonical.loads(Before, text)
    assert not isinstance(failure.value, canonical.Unknown)


@hypothesis.given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just(Number.ONE) | st.just(Mode.FAST),
        lambda inner: (
            st.lists(inner).map(tuple)
            | st.dictionaries(st.text(), inner)
            | st.frozensets(st.text())
            | st.builds(LaterInner, size=inner, unit=st.sampled_from(["bytes", "pages"]))
        ),
        max_leaves=10,
    )
)
def test_dumps__whatever_value__is_the_json_of_what_is_plain(value: object) -> None:
    expected = json.dumps(canonical.plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical.dumps(value) == expected.encode()


def test_dumps__what_has_no_canonical_form__is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical form for object"):
        canonical.dumps((object(),))
