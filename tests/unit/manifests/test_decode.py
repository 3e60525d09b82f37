"""YAML is read by the core rules of 1.2, with the place of each value; whatever else it is, is told in one line."""

import gc

import pytest
import yaml

from agent.manifests import decode

YAML = "a.yaml:{}: this is not YAML: {} ({})"
CHECK = "check indentation, colons and quotes here and in the line above"
MERGE = "merge keys (<<) are not supported (write the fields out)"
TAG = (
    "what begins with ! is a tag, and none is supported "
    "(quote it where it is meant as a text, as a password may be; leave it out otherwise)"
)


def value_of(text: str) -> decode.Value:
    """Return the value of a file's one document."""
    (document,), problems = decode.decode("a.yaml", text.encode())
    assert problems == []
    return document.value


def refused(data: str | bytes) -> str:
    """Return the one problem of a file."""
    documents, problems = decode.decode("a.yaml", data.encode() if isinstance(data, str) else data)
    assert documents == []
    (problem,) = problems
    return str(problem)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *(("true", True), ("false", False), ("null", None), ("~", None), ("", None)),
        *((word, word) for word in ("True", "yes", "no", "on", "Null", "y", "=", ".inf", "2024-01-01", "12:30:45")),
        *(("0", 0), ("-3", -3), ("+5", 5), ("0o17", 15), ("0x1F", 31), ("0xfF", 255), ("9" * 19, int("9" * 19))),
        *((word, word) for word in ("007", "0o8", "0xg", "1_000", "0b1", "1 000")),
        *(("1.", 1.0), (".5", 0.5), ("-.5e-3", -0.0005), ("1e5", 1e5), ("1.10", 1.1), ("+1.5E+2", 150.0)),
        *((word, word) for word in (".", "e5", "1e1000", "1.2.3", "00.5", "1e")),
        *(("'~'", "~"), ('"1"', "1"), ("|-\n  true", "true"), ("|\n  true", "true\n"), (">-\n  0x1F", "0x1F")),
        *(("!!str 5", 5), ("!!int '5'", "5")),
    ],
)
def test_scalar__by_the_core_rules__is_what_people_meant(written: str, expected: object) -> None:
    value = value_of(f"a: {written}\n")
    assert value == {"a": expected}
    assert isinstance(next(iter(value.values())), type(expected))


@pytest.mark.parametrize("written", ["+5", "0o17", "0x1F", "1.", "1.10", "1e5", "-.5e-3", "12345678901234567890"])
def test_number__that_python_would_print_otherwise__keeps_its_text(written: str) -> None:
    value = value_of(f"- {written}\n")
    assert isinstance(value, list)
    assert (str(value[0]), repr(value[0])) == (written, written)
    assert isinstance(value[0], int | float)


@pytest.mark.parametrize(("written", "kind"), [("5", int), ("-3", int), ("0.5", float), ("1e+20", float)])
def test_number__that_python_prints_alike__is_a_plain_one(written: str, kind: type) -> None:
    value = value_of(f"- {written}\n")
    assert isinstance(value, list)
    assert type(value[0]) is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", YAML.format("1:5", "mapping values are not allowed in this context", CHECK)),
        (
            "- a\nb: 1",
            YAML.format("2:1", "while parsing a block collection did not find expected '-' indicator", CHECK),
        ),
        (
            "a:\n\tb: 1",
            YAML.format(
                "2:1",
                "while scanning for the next token found character that cannot start any token",
                "indent with spaces, not tabs",
            ),
        ),
        (
            "\u00e4: \u20ac\n\tb: 1",
            YAML.format(
                "2:1",
                "while scanning a plain scalar found a tab character that violates indentation",
                "indent with spaces, not tabs",
            ),
        ),
        (
            "a: *s3cr3t",
            YAML.format(
                "1:4",
                "found undefined alias",
                "what begins with * is an alias: quote it where it is meant as a text",
            ),
        ),
        ("a: &x {b: 1}\nc: {<<: *x}", f"a.yaml:2:5: {MERGE}"),
        ("c: [<<]", f"a.yaml:1:5: {MERGE}"),
        ("a: !x [1]", f"a.yaml:1:4: {TAG}"),
        ("a: !!binary aGk=", f"a.yaml:1:4: {TAG}"),
        ("a:\n- {b: !p4ss 1}", f"a.yaml:2:7: {TAG}"),
        ("a: 1\n? [b]\n: 1", "a.yaml:2:3: a key must be a text (quote it where it is meant as one)"),
        ("a: 1\nb: 2\na: 3", "a.yaml:3:1: 'a' is set twice (it is set in line 1 already: remove one)"),
        (
            f"{'k' * 61}: 1\n{'k' * 61}: 2",
            f"a.yaml:2:1: '{'k' * 60}...' is set twice (it is set in line 1 already: remove one)",
        ),
        (b"a: \xc3\xa4\nb: \xff", "a.yaml:2:4: the file is not UTF-8 (save it as UTF-8)"),
        (b"\xff\0", "a.yaml:1:2: the file has a NUL byte (is it a binary file? only *.yaml,"),
        (b"\0", "a.yaml:1:1: the file has a NUL byte (is it a binary file? only *.yaml,"),
        (b"\xef\xbb\xbfa: \xc3\xa4\xff", "a.yaml:1:5: the file is not UTF-8 (save it as UTF-8)"),
        (
            b"a\nb: \0c",
            (
                "a.yaml:2:4: the file has a NUL byte "
                "(is it a binary file? only *.yaml, *.yml and *.json are read as manifests)"
            ),
        ),
        (
            "a: 1\nb: \x01",
            r"a.yaml:2:4: the file has the control character '\x01' (is it a binary file? remove it otherwise)",
        ),
        ("a: \ud7ff\ufffe", r"a.yaml:1:5: the file has the control character '\ufffe' (is it a binary file? remove"),
        ("[" * 66 + "]" * 66, "a.yaml:1:66: values are nested deeper than 64 (no manifest needs that)"),
    ],
)
def test_file__that_cannot_be_read__is_told_with_place_and_way_out(text: str | bytes, expected: str) -> None:
    assert refused(text).startswith(expected)
    assert refused(text) == expected or not expected.endswith(")")


@pytest.mark.parametrize(
    "line", ["a: \t1", "a: '\x85\xa0'", "a: '\U0010ffff'", "a: '\ud7ff\ue000\ufffd'", "a: 'x\t'\r"]
)
def test_character__that_yaml_may_have__is_read(line: str) -> None:
    assert isinstance(value_of(f"{line}\n"), dict)


@pytest.mark.parametrize(
    ("sound", "deep"),
    [
        ("[" * 65 + "]" * 65, "[" * 66 + "]" * 66),
        ("- " * 64 + "1", "- " * 65 + "1"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(64)), "".join(f"{' ' * depth}a:\n" for depth in range(66))),
        ("{a: " * 64 + "1" + "}" * 64, "{a: " * 66 + "1" + "}" * 66),
        ("a: '" + "[" * 100 + "'", "a: '" + "[" * 100 + "'\nb: " + "[" * 70 + "]" * 70),
        ("a: [" + "[], " * 100 + "]", "a: [" + "[], " * 100 + "[" * 70),
        ("a: [" + "[" * 63 + "]" * 64, "a: " + "[" * 1200),
        ("a: |\n" + " " * 90 + "x\nb:\n" + "- []\n" * 100, "- " * 1200),
        ("a: |\n" + " " * 90 + "x\n", "a: |\n" + " " * 90 + "x\nb: " + "{" * 70),
    ],
)
def test_depth__is_limited_however_it_is_written(sound: str, deep: str) -> None:
    assert decode.decode("a.yaml", sound.encode())[1] == []
    assert refused(deep).endswith("values are nested deeper than 64 (no manifest needs that)")


def test_size__is_limited_to_what_is_told() -> None:
    data = b"\0" * (8 * 1024 * 1024)
    assert refused(data).startswith("a.yaml:1:1: the file has a NUL byte")
    assert refused(data + b"x") == "a.yaml:1:1: the file is larger than 8 MiB (split it)"


def test_positions__of_values_keys_and_of_what_is_absent() -> None:
    text = "a:\n  - x\n  - {b: 1, 5: 2}\n'c': z\n"
    (document,), _ = decode.decode("a.yaml", text.encode())
    assert document.position() == (1, 1)
    assert document.position("a") == (2, 3)
    assert document.position("a", 1) == (3, 5)
    assert document.position("a", 1, "b") == (3, 9)
    assert document.position("a", 1, 5) == (3, 15)
    assert document.position("a", 2) == document.position("a", "x") == document.position("a", "x", "y") == (2, 3)
    assert document.position("c", "d") == (4, 6)
    assert document.key_position("c") == (4, 1)
    assert document.key_position("a", 1, "b") == (3, 6)
    assert document.key_position("a", 1, 5) == (3, 12)
    assert document.key_position("a", 1, "z") == (3, 5)
    assert document.key_position("x", "c") == (4, 1)
    assert document.key_position("a", 0) == (2, 3)
    assert str(document.problem("m", "h", "a", 1)) == "a.yaml:3:5: m (h)"
    assert str(document.problem("m")) == "a.yaml:1:1: m"


def test_position__below_what_has_no_members__is_that_of_the_nearest_value() -> None:
    (document,), _ = decode.decode("a.yaml", b"a: [text]\nb: 1\n")
    assert document.position("a", 0, 0) == document.position("a", 0, "x") == (1, 5)
    assert document.position("b", 0) == (2, 4)


@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
def test_document__of_either_kind__has_its_path(path: str) -> None:
    (document,), _ = decode.decode(path, b'{"a": 1}')
    assert str(document.problem("m", "h", "a")) == f"{path}:1:7: m (h)"


@pytest.mark.parametrize("text", ["a: &x\n  - b: *x\n", "a: &x [*x]\n", "- &x {a: *x}\n"])
def test_alias__of_what_it_stands_in__is_refused_as_too_deep(text: str) -> None:
    assert refused(text).endswith(": values are nested deeper than 64 (no manifest needs that)")


def test_aliases__that_lead_down__are_as_deep_as_what_they_stand_for() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{number}: &a{number} [*a{number - 1}]\n" for number in range(1, 64))
    assert len(decode.decode("a.yaml", text.replace("a63: &a63 [*a62]\n", "").encode())[0]) == 1
    assert refused(text) == "a.yaml:1:10: values are nested deeper than 64 (no manifest needs that)"


@pytest.mark.parametrize("text", ["a: &x [1, 2]\nb: *x\n", '{"a": [1, 2]}\n---\nb: [1, 2, 3]\n---\n'])
def test_values__are_limited_over_the_whole_file_with_each_alias(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode.MOST_VALUES == 1_000_000
    values = 7 if "&" in text else 10
    monkeypatch.setattr(decode, "MOST_VALUES", values)
    assert decode.decode("a.yaml", text.encode())[1] == []
    monkeypatch.setattr(decode, "MOST_VALUES", values - 1)
    assert refused(text).endswith(": the file has too many values, aliases counted wherever they are used (split it)")


def test_mistake__in_what_looks_deep__is_told_as_any_other() -> None:
    text = f"a: |\n{' ' * 90}x\nb: c: d\n"
    assert refused(text) == YAML.format("3:5", "mapping values are not allowed in this context", CHECK)


@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
def test_document__let_go__keeps_no_node_and_is_read_again(path: str) -> None:
    text = "# first\n[1]\n---\nb: {c: x}\n---\n" + '{"d": 2}\n'
    documents, _ = decode.decode(path, text.encode())
    nodes = node_count()
    for document in documents:
        document.let_go()
    assert nodes - node_count() == 2 + 5 + 3
    assert [document.value for document in documents] == [[1], {"b": {"c": "x"}}, {"d": 2}]
    assert documents[1].position("b", "c") == (4, 8)
    assert documents[2].key_position("d") == (6, 2)


def node_count() -> int:
    return sum(isinstance(thing, yaml.Node) for thing in gc.get_objects())
