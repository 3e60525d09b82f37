"""``plan`` beside a running agent, which answers it: the text is the one of a plan without an agent."""

import pathlib
import shutil

from tests.e2e import command


def test_plan__an_agent_runs_and_none_does__is_the_same_text(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    assert trimtab("apply", shop).returncode == 0
    assert trimtab("suspend", "--all").returncode == 0  # so that the agent's simulation has as little as this command's
    questions = [("plan", shop), ("plan", shop, "--explain"), ("plan", shop, "--output", "json")]
    alone = [trimtab(*words) for words in questions]
    assert "Container/web waits: it is suspended" in alone[0].stdout
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        for words, before in zip(questions, alone, strict=True):
            answered = trimtab(*words)
            assert (answered.stdout, answered.stderr) == (before.stdout, before.stderr)
            assert answered.returncode == before.returncode == 0


def test_plan__the_agent_brings_about_the_same_source__goes_by_what_it_knows(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        completed = trimtab("plan", shop)
        assert (completed.returncode, completed.stdout, completed.stderr) == (0, "Nothing to change.\n", "")
        manifest = shop / "web.yaml"
        text = manifest.read_text()
        manifest.write_text("kind: Nonsense\n")
        bad = trimtab("plan", shop)
        assert (bad.returncode, bad.stdout) == (1, "")
        assert f"{manifest}:1:" in bad.stderr
        manifest.write_text(text)
        other = pathlib.Path(shutil.copytree(shop, tmp_path / "other"))
        assert "to create" in trimtab("plan", other).stdout, "of another source the agent says nothing"
