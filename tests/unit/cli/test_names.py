"""Names of objects as arguments: a blank one, as of a variable that is not set, is refused by every command."""

import pathlib

import pytest

from agent.cli import main


@pytest.mark.parametrize(
    "words",
    [
        *(["describe", ""], ["describe", " "], ["restart", ""], ["restart", "web", ""], ["suspend", ""]),
        *(["resume", ""], ["status", ""], ["status", "web", ""], ["events", ""], ["logs", ""], ["exec", "", "true"]),
    ],
    ids=repr,
)
def test_name__that_is_blank__is_said_so(
    words: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run"), "--runtime", "memory"]
    assert main.main([*flags, *words]) == 64
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(": a name is blank; is a variable not set?")
    assert second == f" hint: trimtab {words[0]} --help"


@pytest.mark.parametrize("words", [["events"], ["status"], ["exec", "web", "echo", ""]], ids=" ".join)
def test_name__left_out__is_none(words: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run"), "--runtime", "memory"]
    assert main.main([*flags, *words]) in {0, 1}
    assert "blank" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["restart", "suspend", "resume", "status", "describe"])
def test_name__that_is_misspelt__has_similar_ones_and_a_command_that_reaches_the_agent(
    agent: list[str], verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*agent, verb, "wbe"]) == 1
    assert capsys.readouterr().err == (
        "error: there is no object wbe\n"
        f" hint: did you mean Container/web? trimtab {' '.join(agent)} status lists every object\n"
    )


def test_hints__of_a_plan_and_of_a_refusal__have_the_flags_of_the_instance(
    agent: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = pathlib.Path(agent[1]).parent / "manifests"
    assert main.main([*agent, "suspend", "container/web"]) == 0
    capsys.readouterr()
    try:
        assert main.main([*agent, "restart", "container/web"]) == 1
        assert f"trimtab {' '.join(agent)} resume Container/web" in capsys.readouterr().err
        (manifests / "web.json").rename(manifests / "web.kept")
        (manifests / "volume.json").write_text(
            '{"apiVersion": "trimtab.dev/v1", "kind": "Volume", "metadata": {"name": "data"}}'
        )
        assert main.main([*agent, "plan", str(manifests)]) in {0, 2}
        assert f"until trimtab {' '.join(agent)} resume Container/web" in capsys.readouterr().out
    finally:
        (manifests / "web.kept").rename(manifests / "web.json")
        (manifests / "volume.json").unlink()
        assert main.main([*agent, "resume", "container/web"]) == 0
