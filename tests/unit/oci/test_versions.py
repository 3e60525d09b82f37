"""Which tags are versions, and which of them is newest in a range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.oci import versions

TAGS = ("latest", "1.26.0", "1.27.3", "1.27", "v1.28.0", "2.0.0-rc.1", "2.0.0", "1.27.10", "1.27.3-alpine", "x" * 200)


@pytest.mark.parametrize(
    ("track", "tag"),
    [
        ("^1.26", "v1.28.0"),
        ("~1.27.0", "1.27.10"),
        (">=1.26 <1.27.10", "1.27.3"),
        ("1.x", "v1.28.0"),
        ("*", "2.0.0"),
        ("1.26.0", "1.26.0"),
        ("^3", None),
    ],
)
def test_newest__of_a_range__is_its_highest_whole_version(track: str, tag: str | None) -> None:
    assert versions.newest(TAGS, track) == tag
    assert versions.newest(reversed(TAGS), track) == tag


def test_newest__pre_releases__are_taken_only_where_the_range_names_one_of_that_version() -> None:
    tags = ("1.0.0", "2.0.0-rc.1", "2.0.0-rc.2", "2.1.0-rc.1")
    assert versions.newest(tags, ">=2.0.0-rc.1") == "2.0.0-rc.2"
    assert versions.newest(tags, ">=1") == "1.0.0"


def test_newest__same_version_twice__is_one_of_them_whatever_the_order() -> None:
    assert versions.newest(["v1.0.0", "1.0.0"], "*") == versions.newest(["1.0.0", "v1.0.0"], "*") == "1.0.0"


@pytest.mark.parametrize("text", ["", " ", "abc", "^", ">=1.2 <", "1.2.3.4", "9" * 200])
def test_parse_range__what_is_none__is_refused(text: str) -> None:
    with pytest.raises(versions.InvalidRange, match="is no range of versions"):
        versions.parse_range(text)


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
def test_newest__anything__is_a_tag_or_nothing_or_no_range(tags: list[str], track: str) -> None:
    try:
        tag = versions.newest(tags, track)
    except versions.InvalidRange:
        return
    assert tag is None or tag in tags
