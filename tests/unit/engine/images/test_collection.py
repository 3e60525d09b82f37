"""Which images go when the disk fills, as kubelet's documentation tells it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engine.images import collection
from agent.kit import disk_space

NOW = 10_000.0
USUAL = collection.Thresholds()


def kept(name: str = "a", **fields: object) -> collection.CandidateImage:
    """Return an image that came long ago, and that nobody uses."""
    return collection.CandidateImage(
        **{"id": name, "references": (name,), "owned": False, "fetched": 0.0, "used": 0.0, **fields}  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("used", "aim"), [(0, 0), (80, 0), (84, 0), (85, 20), (86, 20), (100, 20)], ids=str)
def test_wanted__above_the_high_threshold__is_room_down_to_the_low_one(used: int, aim: int) -> None:
    assert collection.available_target(disk_space.DiskSpace(100, 100 - used), USUAL) == aim


def test_wanted__a_size_that_does_not_divide__is_never_too_little() -> None:
    assert collection.available_target(disk_space.DiskSpace(999, 0), USUAL) == 200


@given(
    st.integers(1, 2**60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    st.integers(1, 100).flatmap(lambda high: st.tuples(st.integers(0, high - 1), st.just(high))),
)
def test_wanted__is_reached__asks_for_no_more(space: tuple[int, int], percents: tuple[int, int]) -> None:
    (size, available), (low, high) = space, percents
    thresholds = collection.Thresholds(high, low)
    aim = collection.available_target(disk_space.DiskSpace(size, available), thresholds)
    assert (aim > 0) == ((size - available) * 100 >= size * high and low < 100)
    if aim:
        assert collection.available_target(disk_space.DiskSpace(size, aim), thresholds) == 0


def test_due__longest_unused_first__and_neither_owned_nor_used_nor_young_ones() -> None:
    images = [
        kept("recent", used=9_000.0),
        kept("old", used=1_000.0),
        kept("owned", owned=True),
        kept("in-use"),
        kept("young", fetched=NOW - 119),
        kept("just-old-enough", fetched=NOW - 120, used=NOW - 120),
        kept("before the clock was set back", fetched=NOW + 86400, used=NOW + 86400),
    ]
    due_images = collection.due(images, frozenset({"in-use"}), NOW, USUAL.minimum_age)
    assert [candidate.id for candidate in due_images] == [
        "old",
        "recent",
        "just-old-enough",
        "before the clock was set back",
    ]


@given(
    st.lists(
        st.builds(
            kept,
            st.text(max_size=3),
            owned=st.booleans(),
            fetched=st.floats(0, 2 * NOW),
            used=st.floats(0, 2 * NOW),
        ),
        unique_by=lambda candidate: candidate.id,
    ),
    st.randoms(use_true_random=False),
)
def test_due__in_whatever_order_images_come__is_the_same(images: list[collection.CandidateImage], random) -> None:
    in_use = frozenset(image.id for image in images if len(image.id) == 1)
    first = collection.due(images, in_use, NOW, USUAL.minimum_age)
    random.shuffle(images)
    assert collection.due(images, in_use, NOW, USUAL.minimum_age) == first
    assert not [
        candidate
        for candidate in first
        if candidate.owned or candidate.id in in_use or abs(NOW - candidate.fetched) < USUAL.minimum_age
    ]
