"""Numbers with their nouns."""

from agent.kit import counts


def test_counted__one_is_singular_and_all_others_are_not() -> None:
    assert [counts.counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counts.counted(number, "entry", "entries") for number in (1, 3)] == ["1 entry", "3 entries"]
