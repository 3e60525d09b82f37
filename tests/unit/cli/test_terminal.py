"""What goes to the terminal."""

import io
import json
import sys

import pytest

from agent import errors
from agent.cli import terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_style__a_terminal__is_coloured() -> None:
    assert terminal.style("x", "bold red", Terminal()) == "\033[1;31mx\033[0m"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_style__colours_not_wanted__is_plain(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    assert terminal.style("x", "red", Terminal()) == "x"


def test_style__a_file_or_an_unknown_style__is_plain() -> None:
    assert terminal.style("x", "red", io.StringIO()) == "x"
    assert terminal.style("x", "plaid", Terminal()) == "x"


def test_failure__with_a_hint__is_two_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.failure(errors.TrimtabError("it is broken", hint="mend it"))
    assert capsys.readouterr() == ("", "error: it is broken\n hint: mend it\n")


def test_printable__what_a_terminal_would_obey__is_shown_and_not_sent() -> None:
    assert terminal.printable("a\x1b[31m\r\nb\u202e\udcff") == "a\\x1b[31m\\r\\nb\\u202e\\udcff"


def test_failure__with_words_of_strangers__is_one_harmless_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.failure(errors.TrimtabError("remote: \x1b]0;x\x07\nerror: fake", hint="see \x9b2J"))
    assert capsys.readouterr().err == "error: remote: \\x1b]0;x\\x07\\nerror: fake\n hint: see \\x9b2J\n"


def test_table__columns_are_aligned_and_the_last_is_not_padded(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("OBJECT", "AGE"), [("Container/web", "3m"), ("Image/a", "12d")])
    assert capsys.readouterr().out == "OBJECT         AGE\nContainer/web  3m\nImage/a        12d\n"


def test_result_json__is_sorted_and_readable(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.result_json({"b": (1, 2), "a": "ü"})
    assert capsys.readouterr().out == '{\n  "a": "ü",\n  "b": [\n    1,\n    2\n  ]\n}\n'


def test_result_json__what_a_terminal_would_obey__is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": "\x1b\x9b2J\u202e\udcff\U000e0001ü"}
    terminal.result_json(value)
    printed = capsys.readouterr().out
    assert printed == '{\n  "a": "\\u001b\\u009b2J\\u202e\\udcff\\udb40\\udc01ü"\n}\n'
    assert json.loads(printed) == value


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172800, "2d")]
)
def test_age__is_short(seconds: float, text: str) -> None:
    assert terminal.age(seconds) == text


def test_result__goes_to_stdout_only(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.result("x")
    terminal.note("y")
    assert capsys.readouterr() == ("x\n", "y\n")
    assert sys.stdout is not sys.stderr


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (3000 * 2**40, "3000.0 TiB"),
    ],
)
def test_size__is_short(amount: int, text: str) -> None:
    assert terminal.size(amount) == text
