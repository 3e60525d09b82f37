"""Docker's env-file syntax, and what is refused of it without showing what stands there."""

import os
import pathlib

import pytest

from agent.manifests import env_file


@pytest.mark.parametrize(
    ("data", "variables"),
    [
        (b"", {}),
        (b"A=1", {"A": "1"}),
        (b"A=1\n\n  # words\n\tB=2\n", {"A": "1", "B": "2"}),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        (b"A=\n", {"A": ""}),
        (b"A=b=c\n", {"A": "b=c"}),
        (b"A= 1 \n", {"A": " 1 "}),
        (b"A='1' # no comment\n", {"A": "'1' # no comment"}),
        (b'A="$HOME"\n', {"A": '"$HOME"'}),
        (b"A=1\nA=2\n", {"A": "2"}),
        ("A=ü\u2028\n".encode(), {"A": "ü\u2028"}),
        (b"a.b-c=1\n", {"a.b-c": "1"}),
        (b"A=1\\\nB=2\n", {"A": "1\\", "B": "2"}),
    ],
)
def test_parse__what_docker_takes__means_the_same(data: bytes, variables: dict[str, str]) -> None:
    parsed = env_file.parse(data)
    assert (dict(parsed.variables), parsed.mistakes) == (variables, ())


WRITE = "write NAME=VALUE, without spaces before ="


@pytest.mark.parametrize(
    ("data", "line", "message", "hint"),
    [
        (
            *(b"A=1\nHOME\n", 2, "this line has no =: a variable of the agent's own environment is not passed on"),
            "write NAME=VALUE, or NAME= for an empty value",
        ),
        (b"=1\n", 1, "this line has no name before =", "write NAME=VALUE"),
        (b"A B=1\n", 1, "this line has white space in the name", WRITE),
        (b"A\tB=1\n", 1, "this line has white space in the name", WRITE),
        (b"export A=1\n", 1, "this line has white space in the name", WRITE),
        (b"A =1\n", 1, "this line has white space in the name", WRITE),
        (b"\n\nA=\xff\n", 3, "this line is not UTF-8", "save the file as UTF-8"),
        (b"A=\0\n", 1, "this line has a NUL character", "take it out"),
        (b"A\0=1\n", 1, "this line has a NUL character", "take it out"),
        (
            *(b"A=" + b"x" * env_file.LONGEST, 1, "this line is 128 KiB or longer: no program can be started with it"),
            "give large data as a file, by a mount",
        ),
    ],
)
def test_parse__what_is_no_variable__is_a_mistake_with_its_line_and_a_way_out(
    data: bytes, line: int, message: str, hint: str
) -> None:
    assert env_file.parse(data).mistakes == (env_file.Mistake(line, message, hint),)


def test_parse__mistakes__show_nothing_of_their_lines() -> None:
    mistakes = env_file.parse(b"KEY=-----BEGIN\nMIIEs3cret\nMIIE s3cret==\n=s3cret\n\xffs3cret\n").mistakes
    assert [mistake.line for mistake in mistakes] == [2, 3, 4, 5]
    assert "s3cret" not in repr(mistakes)


def test_parse__more_variables_than_may_be__is_a_mistake() -> None:
    data = b"".join(b"V%d=\n" % number for number in range(env_file.MOST_VARIABLES + 1))
    assert [mistake.message for mistake in env_file.parse(data).mistakes] == [
        "the file has 10001 variables, the limit is 10000"
    ]


GO_SPACES = {
    *range(0x09, 0x0E),
    0x20,
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
}
"""``unicode.IsSpace``: the property White_Space."""
RESEMBLING = {*range(0x1C, 0x20), 0x180E, *range(0x200B, 0x2010), 0x2060, 0xFEFF}
"""What others take for white space, or what looks like it."""
FORMS = {
    "\nA{}B=2\n": ("A{}B=2", "A{}B=2"),
    "\n{}B=2\n": ("B=2", "{}B=2"),
    "\n \t{} B=2{}\n": ("B=2{}", None),
    "\n{}#B=2\n": ("", "{}#B=2"),
    "\n{}": ("", None),
}
"""Lines, and what ``docker run --env-file`` of 20.10 and 28.2 passes on of them: of spaces, and of others."""


@pytest.mark.parametrize("form", FORMS)
def test_parse__each_space_of_go__is_taken_away_where_docker_does(form: str) -> None:
    for number in sorted((GO_SPACES | RESEMBLING) - {0x09, 0x0A, 0x20}):
        character = chr(number)
        expected = FORMS[form][number not in GO_SPACES]
        parsed = env_file.parse(form.replace("{}", character).encode())
        variables = None if parsed.mistakes else "".join(f"{name}={value}" for name, value in parsed.variables.items())
        carriage_return = number == 0x0D and form == "\n \t{} B=2{}\n"  # which ends the line there
        assert variables == ("B=2" if carriage_return else expected and expected.replace("{}", character)), hex(number)


def test_spaces__all_that_python_calls_so_and_go_does_not__are_the_four_separators() -> None:
    python = {number for number in range(0x11_0000) if chr(number).isspace()}
    assert python - GO_SPACES == set(range(0x1C, 0x20))
    assert python >= GO_SPACES


def test_parse__a_line_that_is_not_utf_8__the_others_are_still_read() -> None:
    parsed = env_file.parse(b"A=1\nB=\xff\nC=3\n=\n")
    assert (dict(parsed.variables), [mistake.line for mistake in parsed.mistakes]) == ({"A": "1", "C": "3"}, [2, 4])


def test_parse__the_longest_line_and_the_most_variables__are_sound() -> None:
    longest = env_file.LONGEST - len("A=")
    assert env_file.parse(b"A=" + b"x" * longest).mistakes == ()
    assert env_file.parse(b"A=" + "\u00e4".encode() * (longest // 2)).mistakes == ()
    assert len(env_file.parse(b"A=" + "\u00e4".encode() * (longest // 2 + 1)).mistakes) == 1
    data = b"".join(b"V%d=\n" % number for number in range(env_file.MOST_VARIABLES))
    assert env_file.parse(data).mistakes == ()


def test_parse__more_variables_than_may_be__is_told_at_the_first_line_with_a_way_out() -> None:
    (mistake,) = env_file.parse(b"".join(b"V%d=\n" % number for number in range(env_file.MOST_VARIABLES + 1))).mistakes
    assert (mistake.line, mistake.hint) == (1, "give large data as a file, by a mount")


def test_limits__are_linux_and_the_pages() -> None:
    assert os.sysconf("SC_PAGE_SIZE") * 32 - 1 == env_file.LONGEST
    page = pathlib.Path(__file__).parents[3] / "ops/docs/environment.md"
    assert f"{env_file.LARGEST / 1024:g} KiB a file" in page.read_text()
