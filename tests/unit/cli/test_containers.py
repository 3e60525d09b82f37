"""``exec`` as it is typed."""

import pytest

from agent.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web", "--"], "there is no program behind --"),
        (["-e", "=x", "web", "ls"], "--env: '=x' is not NAME=VALUE"),
        (["-e", "NOWHERE_SET", "web", "ls"], "--env: NOWHERE_SET has no value, here neither: write NOWHERE_SET=VALUE"),
        (["-w", "www", "web", "ls"], "--workdir: 'www' is not an absolute path"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_exec__typed_wrongly__says_what_is_wrong(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["exec", *words]) == 64
    output = capsys.readouterr()
    assert (output.out, message in output.err) == ("", True), output.err
