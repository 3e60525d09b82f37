"""Standard streams that are closed (``>&-``)."""

import subprocess

from tests.e2e import command


def test_stdout__is_closed__is_told_and_no_bug(trimtab: command.Trimtab) -> None:
    words = ["sh", "-c", '"$@" >&-', "sh", *trimtab.command("version")]
    completed = subprocess.run(words, capture_output=True, check=False, env=trimtab.environment, text=True)
    assert completed.returncode != 0
    assert "error: the output cannot be written: it is closed\n" in completed.stderr
    assert "bug" not in completed.stderr
