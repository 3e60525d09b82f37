"""Commands that messages quote can be typed as they are, by somebody who has none of the variables."""

import os
import pathlib
import shlex
import subprocess

import pytest

from tests import instances
from tests.e2e import command, test_status
from tests.e2e import engine_host as engine_hosts

pytestmark = pytest.mark.root


def without_variables(trimtab: command.Trimtab) -> command.Trimtab:
    """Return the command in an environment that says nothing of the instance."""
    kept = {name: value for name, value in trimtab.environment.items() if not name.startswith("TRIMTAB_")}
    return command.Trimtab(trimtab.home, kept | {"TRIMTAB_CONFIG": str(trimtab.home / "config.yaml")})


def quoted(agent: command.Agent) -> list[str]:
    """Stop the agent, and return the command that it names for removing things."""
    assert agent.stop() == 0
    line = next(line for line in agent.log.splitlines() if "To remove them: " in line)
    return shlex.split(line.partition("To remove them: ")[2])


def typed(trimtab: command.Trimtab, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Type a command as it was printed, in a shell of somebody else."""
    at = words.index("trimtab")
    variables = dict(word.split("=", 1) for word in words[:at])
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command.Trimtab(trimtab.home, {}).command(*words[at + 1 :]),
        env=plain | variables,
        cwd=instances.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def flags(trimtab: command.Trimtab) -> list[str]:
    return ["--root", str(trimtab.home / "root"), "--run-dir", str(trimtab.home / "run")]


def test_run__stopped__the_command_that_it_names_removes_everything(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = test_status.declare(native.home, quickstart_image)
    with without_variables(native).running(folder, *flags(native)) as agent:
        agent.runs("web")
        words = quoted(agent)
    assert words[-2:] == ["delete", str(folder)]
    deleted = typed(native, words)
    assert (deleted.returncode, deleted.stdout) == (0, "deleted\n"), deleted.stderr
    assert native.instance.left_on_the_host() == []
    assert typed(native, words).stdout == "nothing to be deleted: none of it is here\n"


def test_run__stopped_over_an_engine__the_command_removes_everything_and_none_without_the_runtime_says_deleted(
    engine_host: engine_hosts.EngineHost, home: pathlib.Path, quickstart_image: pathlib.Path
) -> None:
    trimtab, flavour = engine_host.trimtab, engine_host.engine.flavour
    folder = test_status.declare(home, quickstart_image)
    with without_variables(trimtab).running(folder, "--runtime", flavour, *flags(trimtab)) as agent:
        agent.runs("web")
        words = quoted(agent)
    elsewhere = typed(trimtab, ["trimtab", *flags(trimtab), "delete", str(folder)])
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert f"this root is used with {flavour} as well" in elsewhere.stderr
    assert f"--runtime {flavour} delete SOURCE" in elsewhere.stderr
    assert engine_host.names() == {"web", "worker"}
    deleted = typed(trimtab, words)
    assert (deleted.returncode, deleted.stdout) == (0, "deleted\n"), deleted.stderr
    assert engine_host.names() == set()
