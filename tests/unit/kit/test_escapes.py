"""Text of strangers."""

import pytest

from agent.kit import escapes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web ü 容器 \\ 'x'", "web ü 容器 \\ 'x'"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x9b1m\x07\0", "\\x1b[2J\\x9b1m\\x07\\x00"),
        ("\u202edlrow\u2028\U000e0001", "\\u202edlrow\\u2028\\U000e0001"),
        ("\udcff", "\\udcff"),
        ("", ""),
    ],
)
def test_printable__what_is_not__is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert escapes.printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /\t200 ü 容器 \ue0b0", "GET /\t200 ü 容器 \ue0b0"),
        ("\x1b[1;31merror\x1b[0m: x", "\x1b[1;31merror\x1b[0m: x\x1b[0m"),
        ("\x1b[38:5:196mred", "\x1b[38:5:196mred\x1b[0m"),
        ("\x1b]0;title\x07\x1b[2J\x1b[6n\x1bc", "\\x1b]0;title\\x07\\x1b[2J\\x1b[6n\\x1bc"),
        ("\x9b31m\x9d0;x\x9c\x7f\0", "\\x9b31m\\x9d0;x\\x9c\\x7f\\x00"),
        ("10%\r20%\r", "10%\\r20%"),
        ("\u202edlrow\u2028\u2066\udcff", "\\u202edlrow\\u2028\\u2066\\udcff"),
        ("a\nb\x85c", "a\\nb\\x85c"),
        ("", ""),
    ],
)
def test_terminal_line__is_only_shown__never_obeyed(text: str, shown: str) -> None:
    assert escapes.terminal_line(text) == shown
