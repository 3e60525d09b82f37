"""Problems as people see them."""

import pytest

from agent.cli import problems
from agent.manifests import problem


def test_show__a_problem__has_its_place_its_line_and_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    found_problem = problem.Problem("m/web.yaml", 2, 3, "there is no field 'imgae'", "did you mean image?")
    problems.show([found_problem], {"m/web.yaml": b"spec:\n  imgae: nginx\n"})
    assert capsys.readouterr() == (
        "",
        (
            "m/web.yaml:2:3: error: there is no field 'imgae'\n"
            "    2 |   imgae: nginx\n"
            "      |   ^\n"
            "hint: did you mean image?\n"
        ),
    )


def test_show__a_file_that_was_not_read__has_no_excerpt(capsys: pytest.CaptureFixture[str]) -> None:
    problems.show([problem.Problem("m/large.yaml", 1, 1, "the file is too large")], {"m/large.yaml": b""})
    assert capsys.readouterr().err == "m/large.yaml:1:1: error: the file is too large\n"


def test_show__hostile_text__is_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    problems.show([problem.Problem("m", 1, 1, "\x1b]0;x\x07")], {"m": b"\x1b[2J\xff: 1"})
    stderr = capsys.readouterr().err
    assert "\x1b" not in stderr
    assert "\\x1b[2J" in stderr


def test_show__a_hostile_file_name__is_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    problems.show([problem.Problem("m/\x1b[2J\nfake.yaml", 1, 2, "it is broken", "mend\rit")], {})
    assert capsys.readouterr().err == "m/\\x1b[2J\\nfake.yaml:1:2: error: it is broken\nhint: mend\\rit\n"


@pytest.mark.parametrize("kind", ["kind: Secret", '{"kind": "Secret"}', "kind:  'Secret' # x", "---\nkind: Secret"])
def test_show__a_file_with_a_secret__shows_none_of_its_lines(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    data = f"stringData: s3cr3t\n{kind}\n".encode()
    problems.show([problem.Problem("m/s.yaml", 1, 1, "it is broken", "mend it")], {"m/s.yaml": data})
    assert capsys.readouterr().err == "m/s.yaml:1:1: error: it is broken\nhint: mend it\n"


def test_excerpt__a_long_line__is_shown_around_the_column() -> None:
    data = b"a" * 5000 + b"X" + b"b" * 5000
    shown, caret = problems.excerpt([data], 1, 5001)
    assert len(shown) < 200
    assert shown[caret.index("^")] == "X"


@pytest.mark.parametrize("line", [0, 3, 99])
def test_excerpt__no_such_line__is_nothing(line: int) -> None:
    assert problems.excerpt([b"a", b"b"], line, 1) == []


def test_excerpt__a_tab__keeps_the_caret_in_its_column() -> None:
    shown, caret = problems.excerpt([b"\tkey: 1"], 1, 2)
    assert shown[caret.index("^")] == "k"
