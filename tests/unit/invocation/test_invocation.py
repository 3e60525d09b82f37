"""Commands that messages quote reach the instance that they are told of."""

import pathlib
import shlex

import pytest

from agent import invocation, settings
from agent.cli import commands


@pytest.mark.parametrize("runtime", ["native", "docker", "podman", "memory"])
@pytest.mark.parametrize("root", [None, "/srv/a b"])
@pytest.mark.parametrize("run_dir", [None, "/run/other"])
@pytest.mark.parametrize("with_config", [False, True])
def test_command__typed_without_any_variable__gives_the_same_settings(
    tmp_path: pathlib.Path, runtime: str, root: str | None, run_dir: str | None, *, with_config: bool
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("runtime: podman\nroot: /srv/of-config\nconverge: {parallel: 3}\n")
    set_flags = {"runtime": runtime, "root": root, "run_dir": run_dir, "config": str(config) if with_config else None}
    chosen = settings.load({name: text for name, text in set_flags.items() if text is not None}, {})
    words = shlex.split(invocation.of(chosen, set_flags["config"] or "", {}).command("delete", "m"))
    assert (words[0], words[-2:]) == ("trimtab", ["delete", "m"])
    flags = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(words[1:-2:2], words[2:-2:2], strict=True)
    }
    reached = settings.load(flags, {})
    assert (reached.root, reached.run, reached.runtime) == (chosen.root, chosen.run, chosen.runtime)
    assert reached.converge == chosen.converge


def test_command__everything_is_at_its_default__has_no_flags() -> None:
    assert invocation.of(settings.Settings(), "", {"DOCKER_HOST": "x"}).command("delete", "m") == "trimtab delete m"


def test_command__another_engine_is_meant_by_a_variable__carries_it() -> None:
    chosen = settings.load({"runtime": "docker"}, {})
    invoked = invocation.of(chosen, "", {"DOCKER_HOST": "unix:///x y.sock", "CONTAINER_HOST": "unix:///other"})
    assert invoked.command("delete", "m") == "'DOCKER_HOST=unix:///x y.sock' trimtab --runtime docker delete m"


def test_completed__text_that_quotes_commands__gets_the_flags() -> None:
    invoked = invocation.Invocation((), ("--root", "/x", "--runtime", "docker"))
    assert invoked.completed("see trimtab doctor, or trimtab --runtime native delete SOURCE") == (
        "see trimtab --root /x --runtime docker doctor, or trimtab --root /x --runtime native delete SOURCE"
    )
    assert invoked.completed("first: trimtab --run-dir /run/y --root /z delete SOURCE") == (
        "first: trimtab --runtime docker --run-dir /run/y --root /z delete SOURCE"
    )
    assert invoked.completed("trimtab knows no trimtab explain, and trimtab.sock") == (
        "trimtab knows no trimtab explain, and trimtab.sock"
    )


@pytest.mark.parametrize("entry", commands.ENTRIES, ids=lambda entry: entry.name)
def test_completed__of_every_command_that_takes_settings__has_the_flags(entry: commands.Entry) -> None:
    command = commands.load(entry)
    parts = getattr(command, "commands", {"": command}).values()
    takes_settings = any("--root" in parameter.opts for part in parts for parameter in part.params)
    completed = invocation.Invocation((), ("--root", "/x")).completed(f"type trimtab {entry.name} now")
    assert completed == f"type trimtab {'--root /x ' if takes_settings else ''}{entry.name} now"
