"""What a source may ask for: every command and the running agent refuse the same with the same words."""

import pathlib

import pytest

from agent.agent_api import client
from tests.e2e import command

ADMITTED = """
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec: {image: "docker.io/library/nginx:1", networks: none}
"""
REFUSED = ADMITTED.replace("networks: none", "networks: host")
WORDS = "the host's network is not admitted at the level baseline"
WAY_OUT = "to admit it, set in the configuration: admission: {hostNetwork: true}"


@pytest.fixture
def manifest(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> pathlib.Path:
    """The only file of a source, which has what is admitted at the level that the settings have."""
    (trimtab.home / "config.yaml").write_text("admission: {level: baseline}\n")
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "web.yaml"
    path.write_text(ADMITTED)
    return path


def refusal(printed: str) -> str:
    """Return the sentence in which something is refused, with its place."""
    (line,) = {line.strip() for line in printed.splitlines() if WORDS in line}
    return line


def test_admission__a_level__is_the_same_for_every_command_without_an_agent(
    trimtab: command.Trimtab, manifest: pathlib.Path
) -> None:
    commands = [("validate",), ("plan",), ("apply",), ("run", "--once"), ("render",), ("render", "-o", "yaml")]
    manifest.write_text(REFUSED)
    printed = [trimtab(*words, manifest.parent) for words in commands]
    assert [completed.returncode for completed in printed] == [1] * len(commands)
    assert {refusal(completed.stderr) for completed in printed} == {refusal(printed[0].stderr)}
    assert refusal(printed[0].stderr).startswith(f"{manifest}:5:")
    assert all(WAY_OUT in completed.stderr for completed in printed)
    assert {completed.stdout for completed in printed} == {""}
    manifest.write_text(ADMITTED)
    codes = {words: trimtab(*words, manifest.parent).returncode for words in commands}
    assert codes == dict.fromkeys(commands, 0) | {("plan",): 2}


def test_admission__a_level__is_the_same_for_the_running_agent(
    trimtab: command.Trimtab, manifest: pathlib.Path
) -> None:
    with trimtab.running(manifest.parent) as agent:
        agent.assert_ready()
        manifest.write_text(REFUSED)
        agent.assert_shows("trimtab_source_problems", 1.0)
        expected = refusal(trimtab("validate", manifest.parent).stderr)
        on_one_line = f"{expected.replace('error: ', '')} ({WAY_OUT})"
        assert client.get(trimtab.home / "run", "/v1/plan")["problems"] == [on_one_line]
        assert refusal(trimtab("plan", manifest.parent).stderr) == expected
        assert refusal(trimtab("apply", manifest.parent).stderr) == expected
        assert on_one_line in agent.get("/readyz")[1]
        assert WORDS in agent.log
        assert trimtab.output("status")["problems"] == [on_one_line]
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)
