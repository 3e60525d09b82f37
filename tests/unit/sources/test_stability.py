"""When what was read of a file counts."""

import dataclasses

from agent.kit.writers import Writer
from agent.sources import api, stability

PERIODS = stability.RestPeriods(quiet=0.03, beginning=0.3, late=1.0, unfinished=60.0)


def look(
    data: bytes,
    number: int,
    *,
    writer: Writer = Writer.NONE,
    age: float = 0.0,
    torn: bool = False,
    inode: int = 1,
) -> stability.FileReading:
    file = api.SourceFile("a.yaml", "/", data)
    return stability.FileReading(file, (1, inode, len(data), number, number), torn, writer, age)


def stable_file(data: bytes) -> stability.FileStability:
    files = stability.FileStability(PERIODS)
    files.take([look(data, 0, age=100.0)], 0.0)
    assert files.accepted("a.yaml") == data
    return files


def contents(settled: stability.Settled) -> list[bytes]:
    return [file.data for file in settled.files]


def test_take__changed_and_rested__counts_at_once() -> None:
    settled = stable_file(b"old").take([look(b"new", 1, age=0.031)], 1.0)
    assert (contents(settled), settled.unsettled, settled.next_reading_at) == ([b"new"], (), None)


def test_take__changed_just_now__stands_for_what_it_was_and_is_looked_at_again() -> None:
    files = stable_file(b"old")
    settled = files.take([look(b"new", 1, age=0.01)], 1.0)
    assert (contents(settled), settled.unsettled) == ([b"old"], ("a.yaml",))
    assert settled.next_reading_at is not None
    assert 1.02 <= settled.next_reading_at <= 1.04
    assert contents(files.take([look(b"new", 1, age=0.04)], 1.03)) == [b"new"]


def test_take__torn__never_counts() -> None:
    files = stable_file(b"old")
    for now in (1.0, 10.0, 100.0):
        assert contents(files.take([look(b"half", 1, age=50.0, torn=True)], now)) == [b"old"]


def test_take__open_for_writing__does_not_count_until_it_never_ends() -> None:
    files = stable_file(b"old")
    for now in (1.0, 30.0, 60.9):
        assert contents(files.take([look(b"half", 1, writer=Writer.OPEN, age=now)], now)) == [b"old"]
    assert contents(files.take([look(b"half", 1, writer=Writer.OPEN, age=61.0)], 61.0)) == [b"half"]


def test_take__nobody_can_know__counts_once_it_was_seen_the_same_for_a_second() -> None:
    files = stable_file(b"old")
    assert contents(files.take([look(b"ne", 1, writer=Writer.UNKNOWN, age=5.0)], 1.0)) == [b"old"]
    assert contents(files.take([look(b"new", 2, writer=Writer.UNKNOWN, age=5.0)], 1.9)) == [b"old"]
    assert contents(files.take([look(b"new", 2, writer=Writer.UNKNOWN, age=5.0)], 2.9)) == [b"new"]


def test_take__the_beginning_of_what_was_there__rests_longer() -> None:
    files = stable_file(b"old text")
    assert contents(files.take([look(b"old", 1, age=0.2)], 1.0)) == [b"old text"]
    assert contents(files.take([look(b"old", 1, age=0.3)], 1.1)) == [b"old"]


def test_take__new_and_empty_or_still_written__is_left_out_and_told() -> None:
    files = stability.FileStability(PERIODS)
    settled = files.take([look(b"", 1, age=0.1)], 1.0)
    assert (contents(settled), settled.unsettled) == ([], ("a.yaml",))
    assert contents(files.take([look(b"", 1, age=0.4)], 1.3)) == [b""]


def test_take__absent__is_absent_and_known_again_when_it_returns() -> None:
    files = stable_file(b"old text")
    assert files.take([], 1.0) == stability.Settled((), (), None)
    assert contents(files.take([look(b"old", 2, age=0.1)], 1.5)) == [b"old text"]
    files.take([], 3.0)
    assert files.accepted("a.yaml") is None


def test_take__an_obstacle__is_told_at_once() -> None:
    files = stable_file(b"old")
    obstacle = api.SourceFile("a.yaml", "/", b"", "cannot be read")
    assert files.take([stability.FileReading(obstacle)], 1.0).files == (obstacle,)


def changed(data: bytes, inode: int = 1, generation: int = 0) -> dict[str, float]:
    """A file that held one thing is read as another; says whether it was changed in place."""
    reading = dataclasses.replace(look(data, 1, age=0.3, inode=inode), generation=generation)
    settled = stable_file(b"one two").take([reading], 1.0)
    assert contents(settled) == [data]
    return dict(settled.changed_in_place)


def test_take__changed_in_place_and_closed__is_told_with_its_rest_until_it_is_replaced() -> None:
    files = stable_file(b"one two three")
    assert files.take([look(b"one", 1, age=0.3)], 1.0).changed_in_place == {"a.yaml": 0.0}
    assert files.take([look(b"one", 1, age=5.0)], 5.0).changed_in_place == {"a.yaml": 4.0}
    assert files.take([look(b"one 2", 2, age=0.3)], 6.0).changed_in_place == {"a.yaml": 0.0}
    assert files.take([look(b"one 2", 2, age=0.3)], 8.0).changed_in_place == {"a.yaml": 2.0}
    assert files.take([look(b"one 2", 3, age=0.3)], 8.5).changed_in_place == {"a.yaml": 0.0}  # written once more
    assert files.take([look(b"one two three", 4, age=0.3)], 9.0).changed_in_place == {"a.yaml": 0.0}
    assert files.take([look(b"one", 5, age=0.3, inode=2)], 9.5).changed_in_place == {}


def test_take__whatever_it_holds__is_changed_in_place() -> None:
    assert changed(b"") == changed(b"one") == changed(b"two") == changed(b"ONE two and more") == {"a.yaml": 0.0}


def test_take__another_file_or_none_in_its_place__is_not_changed_in_place() -> None:
    assert changed(b"one", inode=2) == changed(b"two", inode=2) == {}
    assert changed(b"one", generation=7) == {}, "the inode number of a removed file"
    files = stable_file(b"one two")
    files.take([look(b"one", 1, age=0.3)], 1.0)
    assert files.take([], 1.1).changed_in_place == {}


def test_take__only_its_permissions_or_stamps_change__is_not_changed_in_place() -> None:
    files = stable_file(b"one two")
    assert files.take([look(b"one two", 1)], 1.0).changed_in_place == {}
    assert files.take([look(b"one", 2, age=0.3, inode=2)], 2.0).changed_in_place == {}
    assert files.take([look(b"one", 3, age=0.3, inode=2)], 3.0).changed_in_place == {}


def test_take__cut_while_it_could_not_be_read__is_changed_in_place() -> None:
    files = stable_file(b"one two")
    files.take([stability.FileReading(api.SourceFile("a.yaml", "/", b"", "cannot be read"))], 1.0)
    assert files.take([look(b"one", 1, age=0.3)], 2.0).changed_in_place == {"a.yaml": 0.0}
