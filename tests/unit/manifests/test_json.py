"""Manifests that are JSON are read as JSON, with the place of each value, beside YAML in one file."""

import json

import pytest

from agent.manifests import decode, json_documents, problem


def read(text: str, path: str = "a.json") -> list[decode.Value]:
    """Return the values of a sound file's documents."""
    documents, problems = decode.decode(path, text.encode("utf-8", "surrogatepass"))
    assert problems == []
    return [document.value for document in documents]


def refused(text: str, path: str = "a.json") -> str:
    """Return the one problem of a file."""
    documents, problems = decode.decode(path, text.encode())
    assert (documents, len(problems)) == ([], 1)
    return str(problems[0])


@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
@pytest.mark.parametrize(
    "written",
    [
        '"\\ud83d\\ude00"',
        '"\\uD83D\\uDE00 \\ud83d\\ude00"',
        '"a\x7fb"',
        '"\x80\x9f"',
        '"\ufffe\uffff\U0001fffe"',
        '"a\ufeffb"',
        '"\u2028--- x"',
        '"\\u007f\\/\\b\\f\\n\\r\\t\\"\\\\"',
        '"\\\\ud83d"',
        '"<<"',
        '"!tag *alias &anchor # no"',
        '""',
        "[]",
        "{}",
        "[true, false, null, 0, -1, 1.5, -2.5e3]",
        '[[1], {"a": [2]}, "x"]',
        '{"<<": 1, "": 2, "a b": 3, "null": 4, "1": 5}',
    ],
)
def test_json__is_read_as_json_reads_it(path: str, written: str) -> None:
    text = f'{{"value": {written}}}'
    assert read(text, path) == [json.loads(text)]


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n\t", "# a comment\n", "\n---\n", "%YAML 1.2\n---\n", "---  "])
def test_json__behind_what_may_stand_before_a_document__is_read(blank: str) -> None:
    assert read(f'{blank}{{"a": "\\ud83d\\ude00"}}\n', "a.yaml") == [{"a": "\U0001f600"}]


def test_numbers__keep_their_spelling() -> None:
    (value,) = read('{"a": 1.10, "b": 1e3, "c": -0, "d": 1E400, "e": 123456789012345678901234567890}')
    assert isinstance(value, dict)
    assert [str(item) for item in value.values()] == ["1.10", "1e3", "-0", "1E400", "123456789012345678901234567890"]


def test_documents__of_both_kinds_in_one_file__keep_order_and_positions() -> None:
    text = 'a: 1\n---\n{"b":\n  "\\ud83d\\ude00"}\n---\n- c\n--- {"d": "\x7f"}\n...\n---\n\ne: [f,\n  g]\n'
    documents, problems = decode.decode("a.yaml", text.encode())
    assert problems == []
    assert [document.value for document in documents] == [
        {"a": 1},
        {"b": "\U0001f600"},
        ["c"],
        {"d": "\x7f"},
        {"e": ["f", "g"]},
    ]
    assert [document.position() for document in documents] == [(1, 1), (3, 1), (6, 1), (7, 5), (11, 1)]
    assert documents[1].position("b") == (4, 3)
    assert documents[1].key_position("b") == (3, 2)
    assert documents[3].position("d") == (7, 11)
    assert documents[4].position("e", 1) == (12, 3)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_position__counts_each_end_of_a_line_once(end: str) -> None:
    text = f'{{"a": [{end}  1,{end}{end}    {{"b": 2}}]}}'
    (document,), _ = decode.decode("a.json", text.encode())
    assert document.position("a") == (1, 7)
    assert document.position("a", 0) == (2, 3)
    assert document.position("a", 1, "b") == (4, 11)
    assert document.key_position("a", 1, "b") == (4, 6)


@pytest.mark.parametrize(
    ("written", "column", "half"),
    [
        ("\\ud83d", 7, "ud83d"),
        ("x\\uDE00", 8, "uDE00"),
        ("\\ud83d\\ude00\\ud83d", 19, "ud83d"),
        ("\\\\\\ude00\\ud83d", 9, "ude00"),
        ("\\ud83dx\\ude00", 7, "ud83d"),
    ],
)
@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
def test_half_of_a_pair__is_refused_where_it_is(path: str, written: str, column: int, half: str) -> None:
    way_out = "(write both halves, as in \\ud83d\\ude00, or the character itself)"
    message = f"\\{half} is half of a character: the other half of the pair is missing"
    assert refused(f'{{"a":"{written}"}}', path) == f"{path}:1:{column}: {message} {way_out}"
    assert refused(f'{{\n "{written}": 1}}', path) == f"{path}:2:{column - 4}: {message} {way_out}"


def test_key_that_is_there_twice__is_refused_with_both_lines() -> None:
    expected = "a.json:3:2: 'a' is set twice (it is set in line 2 already: remove one)"
    assert refused('{"b": {\n"a": 1,\n "\\u0061": 2}}') == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1 "b": 2}', "1:9: this is not JSON: a comma or } is expected here"),
        ('{"a": ["1" "2"]}', "1:12: this is not JSON: a comma or ] is expected here"),
        ('{"a": {"b": 1}', "1:15: this is not JSON: a comma or } is expected here"),
        ('{"a": 1}\n{"b": 2}', "2:1: this is not JSON: there is something behind its end"),
        ('{"a": ]}', "1:7: this is not JSON: a value is expected here"),
        ('{"a": "x\ny", "b": !z 1}', "1:7: this is not JSON: a text in double quotes is expected here, on one line"),
        ('{"a": "\\x"}}', "1:7: this is not JSON: a text in double quotes is expected here, on one line"),
        ('{"a" "b"}', "1:6: this is not JSON: : is expected here"),
        ('{"a": "\x7f",}', "1:11: this is not JSON: a text in double quotes is expected here, on one line"),
    ],
)
def test_json_file__that_is_neither_json_nor_yaml__says_what_json_lacks(text: str, expected: str) -> None:
    assert refused(text).startswith(f"a.json:{expected}")
    assert refused(text).endswith("(check commas, colons, quotes and brackets here and in the line above)")


def test_yaml_file__that_is_neither__speaks_of_yaml() -> None:
    assert "this is not YAML" in refused('{"a": 1 "b": 2}', "a.yaml")


@pytest.mark.parametrize("text", ["{a: 1,}", "{'a': 1}", "a: 1\n", '{"a": 1} # why', '{"a": +1}', '{"a": 1,\n# why\n}'])
def test_json_file__that_is_yaml__is_read_as_before(text: str) -> None:
    assert read(text) == [{"a": 1}]


def test_file_without_documents__has_none() -> None:
    assert read("") == read("# nothing\n") == read(" \n") == []


def test_depth__is_limited_in_json_as_in_yaml() -> None:
    sound, deep = ('{"a":' * depth + "1" + "}" * depth for depth in (64, 65))
    assert len(read(sound)) == 1
    assert refused(deep) == "a.json:1:326: values are nested deeper than 64 (no manifest needs that)"


def test_values__are_limited_over_all_documents_of_a_file() -> None:
    limits = json_documents.Limits(values=5, depth=9)
    assert len(json_documents.split('{"a": [1, 2]}\n---\n[]', limits).nodes) == 2
    with pytest.raises(problem.Mistake, match="too many values, aliases counted") as caught:
        json_documents.split('{"a": [1, 2]}\n---\n[3]', limits)
    assert caught.value.position == (3, 2)


def test_json__without_a_value__says_so_at_its_end() -> None:
    assert refused('{"a"').startswith("a.json:1:5: this is not JSON: : is expected here")
    assert refused('{"a"\n---\n{"b": 1}').startswith("a.json:2:1: this is not JSON: : is expected here")
    assert refused('{"a": [1\n---\n{"b": 1}').startswith("a.json:2:1: this is not JSON: a comma or ] is expected")


def test_documents__of_which_several_are_neither__the_first_is_told() -> None:
    assert refused('{"a": 1 "b"}\n---\n{"c" 1}').startswith("a.json:1:9: this is not JSON: a comma or } is expected")


def test_json__behind_a_document_that_is_yaml__is_read_as_json() -> None:
    assert read('{a: 1}\n---\n{"b": "\\ud83d\\ude00"}\n', "a.yaml") == [{"a": 1}, {"b": "\U0001f600"}]


@pytest.mark.parametrize("text", ['{"a": {"b": 1}}', '{"a": [1]}', "[[1]]", '[{"a": 1}]'])
def test_depth__is_limited_while_json_is_read(text: str) -> None:
    assert len(json_documents.split(text, json_documents.Limits(values=9, depth=2)).nodes) == 1
    with pytest.raises(problem.Mistake, match="values are nested deeper than 1"):
        json_documents.split(text, json_documents.Limits(values=9, depth=1))
