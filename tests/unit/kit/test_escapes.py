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
