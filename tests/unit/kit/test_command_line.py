"""What our command line shows."""

import subprocess
import sys

import pytest

from agent.kit import command_line
from tests import instances


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git+https://me:s3cret@example.org/x", "git+https://example.org/x"),
        ("git+https://token@example.org/x#main", "git+https://example.org/x#main"),
        ("git+http://me:p%40ss@example.org", "git+http://example.org"),
        ("git+ssh://git@example.org/x", "git+ssh://git@example.org/x"),
        ("./a@b", "./a@b"),
        ("git+https://example.org/a@b", "git+https://example.org/a@b"),
    ],
)
def test_without_logins__a_text__has_none(text: str, shown: str) -> None:
    assert command_line.without_logins(text) == shown


def test_hide_logins__a_password_in_an_argument__is_not_shown_and_still_known() -> None:
    program = (
        "import pathlib, sys; from agent.kit import command_line; command_line.hide_logins(sys.argv); "
        "print(pathlib.Path('/proc/self/cmdline').read_text().replace(chr(0), ' ')); print(sys.argv[2])"
    )
    source = "git+https://me:s3cret@example.org/x"
    arguments = [sys.executable, "-c", program, "run", source, "tail"]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=instances.REPOSITORY).stdout
    shown, expected = printed.splitlines()
    assert "s3cret" not in shown
    assert shown.endswith("run git+https://*********@example.org/x tail ")
    assert expected == source
