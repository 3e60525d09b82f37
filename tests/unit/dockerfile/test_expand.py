"""Variables in words: BuildKit's rules for ``$name``, modifiers, quotes and escapes."""

import time

import pytest

from agent.dockerfile import expand, globs

VARIABLES = {"A": "a b", "E": "", "P": "x/y/z.tar.gz", "Q": '"', "N": "a\nb", "1": "one", "S": "a*b?c", "_u": "under"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$A", "a b"),
        ("${A}", "a b"),
        ("$Ax ${A}x", " a bx"),
        ("$A$A", "a ba b"),
        ("$_u.$1x", "under.onex"),
        ("$", "$"),
        ("$.", "$."),
        ("a$ b", "a$ b"),
        ("$MISSING", ""),
        ("${MISSING}", ""),
        ("$12", ""),
        ("$@$*$#$?$-$$", ""),
        (r"\$A", "$A"),
        (r"\\$A", r"\a b"),
        (r"\a\'", "a'"),
        ("a\\", "a"),
        ("'$A'", "$A"),
        (r"'\'", "\\"),
        ("'a\"b'", 'a"b'),
        ('"$A"', "a b"),
        ("\"'$A'\"", "'a b'"),
        (r'"\$A \" \\ \a"', '$A " \\ \\a'),
        ("a'b'\"c\"", "abc"),
        ("''", ""),
        ("$Q", '"'),
        ("${A:-x}", "a b"),
        ("${E:-x}", "x"),
        ("${E-x}", ""),
        ("${U:-x}", "x"),
        ("${U-x}", "x"),
        ("${U:-}", ""),
        ("${U:-$A}", "a b"),
        ("${U:-${V:-${A}}}", "a b"),
        ("${U:-'}'}", "}"),
        (r"${U:-\}}", "}"),
        ('${U:-"a b"}', "a b"),
        ("${A:+x}", "x"),
        ("${E:+x}", ""),
        ("${E+x}", "x"),
        ("${U+x}", ""),
        ("${A:?x}", "a b"),
        ("${E?x}", ""),
        ("${P#*/}", "y/z.tar.gz"),
        ("${P##*/}", "z.tar.gz"),
        ("${P%.*}", "x/y/z.tar"),
        ("${P%%.*}", "x/y/z"),
        ("${P#y}", "x/y/z.tar.gz"),
        ("${P%x}", "x/y/z.tar.gz"),
        ("${P#?}", "/y/z.tar.gz"),
        ("${P%?}", "x/y/z.tar.g"),
        ("${P#x/y/z.tar.gz}", ""),
        ("${P#}", "x/y/z.tar.gz"),
        (r"${S#a\*}", "b?c"),
        (r"${S%\?c}", "a*b"),
        ("${U#x}", ""),
        ("${N#*b}", "a\nb"),
        ("${N#?\n}", "b"),
        ("${P/y/Q}", "x/Q/z.tar.gz"),
        (r"${P/\//-}", "x-y/z.tar.gz"),
        (r"${P//\//-}", "x-y-z.tar.gz"),
        ("${P//?/.}", "." * 12),
        ("${P/*/.}", "."),
        ("${P//q/.}", "x/y/z.tar.gz"),
        ("${P/./}", "x/y/ztar.gz"),
        ("${P/$U/}", "x/y/z.tar.gz"),
        (r"${S/\*/$A}", "aa bb?c"),
        ("${U/a/b}", ""),
        ("${P//[xyz]/.}", "x/y/z.tar.gz"),
        ("é$Aß", "é"),
        ("日${A}本", "日a b本"),
    ],
)
def test_expand__text__is_as_in_buildkit(text: str, expected: str) -> None:
    assert expand.expand(text, VARIABLES).text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", ("a", "b")),
        (" a\tb ", ("a", "b")),
        ("$A", ("a", "b")),
        ("x$A", ("xa", "b")),
        ('"$A"', ("a b",)),
        ("'$A' c", ("$A", "c")),
        (r"a\ b", ("a b",)),
        ("''", ()),
        ("'' a", ("a",)),
        ("${U:-c d}", ("c", "d")),
        ("$E", ()),
        ("a $E b", ("a", "b")),
        ("a$E b", ("a", "b")),
        ('"a "b', ("a b",)),
    ],
)
def test_expand__words__are_split_behind_the_expansion(text: str, expected: tuple[str, ...]) -> None:
    assert expand.expand(text, VARIABLES).words == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "${ needs the name of a variable and }"),
        ("${}", "${ needs the name of a variable and }"),
        ("${{A}}", "${ needs the name of a variable and }"),
        ("${:-x}", "${ needs the name of a variable and }"),
        ("${A", "there is no } that closes ${"),
        ("${A:-x", "there is no } that closes ${"),
        ("${A:", "there is no } that closes ${"),
        ("${A/x", "there is no / that closes ${"),
        ("${A/x/y", "there is no } that closes ${"),
        ("${A:=x}", "${A:=…} is no substitution"),
        ("${A=x}", "${A=…} is no substitution"),
        ("${A:/x/y}", "${A:/…} is no substitution"),
        ("${A:}", "${A:}…} is no substitution"),
        ("${A b}", "${A …} is no substitution"),
        ("'a", "there is no ' that closes the first one"),
        ('"a', 'there is no " that closes the first one'),
        ("${U:?}", "U: is not set"),
        ("${U?}", "U: is not set"),
        ("${E:?}", "E: is empty"),
        ("${U:?because $A}", "U: because a b"),
        (r"${A#\x}", r"\x is no escape of a pattern: \x"),
        (r"${A/\x/y}", r"\x is no escape of a pattern: \x"),
    ],
)
def test_expand__no_text_of_the_kind__is_told(text: str, message: str) -> None:
    with pytest.raises(expand.ExpansionError) as error:
        expand.expand(text, VARIABLES)
    assert str(error.value) == message


def test_expand__names__are_told_apart_by_whether_they_are_set() -> None:
    result = expand.expand("$A ${U:-$V} ${E} '$X' ${A+$P}", VARIABLES)
    assert (result.used, result.missing) == ({"A", "E", "P"}, {"U", "V"})


@pytest.mark.parametrize(
    ("quoting", "text", "expected"),
    [
        (expand.Quoting(keeps_quotes=True), "a'b' \"$A\"", "a'b' \"a b\""),
        (expand.Quoting(keeps_escapes=True), r'\a "\$\b"', r'\a "\$\b"'.replace('"', "")),
        (
            expand.Quoting(keeps_missing=True),
            "$U ${U} ${U:-x} ${U#y} ${U/a/b} $A",
            "$U ${U} ${U:-x} ${U#y} ${U/a/b} a b",
        ),
        (expand.Quoting(escape="`"), r"`$A \$A", r"$A \a b"),
        (expand.Quoting(escape="`"), '"`"`` `a"', '"` `a'),
    ],
)
def test_expand__quoting__stays_as_asked(quoting: expand.Quoting, text: str, expected: str) -> None:
    assert expand.expand(text, VARIABLES, quoting).text == expected


@pytest.mark.parametrize(
    "text", ["${L##" + "*a" * 60 + "b}", "${L//" + "*a" * 20 + "b/x}", "${L%%" + "?*" * 60 + "b}", "${L//a*b/x}"]
)
def test_expand__hostile_pattern__ends_soon(text: str) -> None:
    begun = time.process_time()
    try:
        result = expand.expand(text, {"L": "a" * 4_000}).text
    except expand.ExpansionError as error:
        assert "takes too long" in str(error)  # noqa: PT017 - either is right
    else:
        assert result == "a" * 4_000
    assert time.process_time() - begun < 20


def test_replaced__pattern_that_matches_nothing__is_between_the_characters() -> None:
    assert globs.glob("").replaced("abc", "-", everywhere=True) == "-a-b-c-"
    assert globs.glob("").replaced("abc", "-", everywhere=False) == "-abc"
    assert globs.glob("*").replaced("abc", "-", everywhere=True) == "-"
    assert globs.glob("b*").replaced("abcb", "-", everywhere=True) == "a-"


def test_expand__variables_that_double_each_other__have_an_end() -> None:
    value = "x" * (expand.LONGEST // 2)
    assert len(expand.expand("$A", {"A": value}).text) == len(value)
    with pytest.raises(expand.ExpansionError, match="with its variables it has more than"):
        expand.expand("$A$A$A", {"A": value})
    assert expand.expand("y" * expand.LONGEST * 2, {}).text == "y" * expand.LONGEST * 2
