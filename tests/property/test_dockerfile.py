"""Whatever bytes a Dockerfile or a ``.dockerignore`` is, it is read or refused, with places that are in the file."""

import fnmatch
import re

import hypothesis
from hypothesis import strategies as st

from agent.dockerfile import checks, expand, ignore, lines, parse

hypothesis.settings.register_profile("suite", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("suite")

WORDS = st.sampled_from(
    [
        "FROM", "a", "AS", "b", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "CMD", "ONBUILD", "HEALTHCHECK", "SHELL",
        "--from=a", "--mount=type=cache,target=/a", '--mount="', "--", "<<EOF", "<<-'E'", "EOF", "E", "\\", "`", "#",
        "# escape=`", "# check=skip=all", '["a", "b"]', "[", "]", '"', "'", "$A", "${A:-b}", "${", "}", "=", "a=b",
        "NONE", "\t", "\r", "\0", "é", "\ufeff", "\ud800",
    ]
)  # fmt: skip
DOCKERFILES = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=12).map("\n".join)
VARIABLES = {"A": "x/y.z", "B": "", "C": "a b"}


@hypothesis.given(text=DOCKERFILES)
def test_dockerfile__of_any_words__is_read_or_refused_with_places_in_it(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    parsed = parse.parse(data)
    source = data.decode("utf-8-sig", "surrogateescape").split("\n")
    for mistake in parsed.mistakes:
        line, column = mistake.position
        assert 1 <= line <= len(source)
        assert 1 <= column <= len(source[line - 1]) + 1
        assert mistake.message
    for instruction in parsed.lines:
        line, column = instruction.keyword.position()
        assert source[line - 1][column - 1 :].startswith(instruction.keyword.text)
    if not parsed.mistakes:
        assert parsed.dockerfile.stages
        for finding in checks.check(parsed):
            assert 1 <= finding.position[0] <= len(source)


@hypothesis.given(data=st.binary(max_size=200))
def test_dockerfile__of_any_bytes__is_read_or_refused(data: bytes) -> None:
    parsed = parse.parse(data)
    assert parsed.mistakes or parsed.dockerfile.stages


@hypothesis.given(text=DOCKERFILES, end=st.sampled_from(["\n", "\r\n"]))
def test_dockerfile__with_other_line_ends__is_the_same(text: str, end: str) -> None:
    hypothesis.assume("\r" not in text and "<<" not in text)
    plain, other = (lines.read(changed.encode("utf-8", "surrogatepass")) for changed in (text, text.replace("\n", end)))
    assert [instruction.source for instruction in plain.instructions] == [
        instruction.source for instruction in other.instructions
    ]


@hypothesis.given(text=st.text("$ABC{}:-+?#%/*'\"\\ x.", max_size=30))
def test_expand__any_text__is_expanded_or_refused_and_words_are_in_it(text: str) -> None:
    try:
        result = expand.expand(text, VARIABLES)
    except expand.ExpansionError as error:
        assert str(error)  # noqa: PT017 - either is right
        return
    assert "".join(result.words).replace(" ", "") == re.sub(r"\s", "", result.text)


@hypothesis.given(
    pattern=st.text("ab*?/", min_size=1, max_size=8),
    path=st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_ignore__pattern_without_double_stars__matches_name_by_name(pattern: str, path: list[str]) -> None:
    hypothesis.assume("**" not in pattern)
    names = [name for name in pattern.split("/") if name]
    expected = 0 < len(names) <= len(path) and all(map(fnmatch.fnmatchcase, path, names))
    assert ignore.parse(pattern.encode()).leaves_out("/".join(path)) is expected


@hypothesis.given(text=st.text("ab*?/![]^-\\#. \n", max_size=30), path=st.text("ab/", min_size=1, max_size=10))
def test_ignore__any_text__is_read_or_refused_with_its_line(text: str, path: str) -> None:
    try:
        rules = ignore.parse(text.encode())
    except ignore.BadPattern as error:
        assert 1 <= error.line <= text.count("\n") + 1  # noqa: PT017 - either is right
        return
    assert rules.leaves_out(path) in {True, False}
