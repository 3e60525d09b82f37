"""Flags that set settings."""

import pathlib
from typing import Annotated

import click
import pytest
from click import testing

from agent import settings
from agent.cli import flags, options, typed


@pytest.fixture
def invocation(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> dict[str, object]:
    (tmp_path / "config.yaml").write_text("runtime: memory\n")
    monkeypatch.setenv("TRIMTAB_CONFIG", str(tmp_path / "config.yaml"))
    return {}


@pytest.fixture
def application(invocation: dict[str, object]) -> click.Group:
    @options.with_settings("listen")
    def look(
        chosen: settings.Settings,
        source: options.SourceArgument,
        loud: Annotated[bool, typed.Option("--loud")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Look at it."""
        invocation.update(chosen=chosen, source=source, loud=loud)

    def before(context: click.Context, root: Annotated[str | None, flags.FLAGS["root"]] = None) -> None:
        context.obj = {} if root is None else {"root": root}

    return click.Group(
        "trimtab", callback=typed.called(before), params=typed.of(before), commands=[typed.command("look", look)]
    )


def _run(application: click.Group, *arguments: str) -> testing.Result:
    return testing.CliRunner().invoke(application, arguments)


def test_with_settings__flags__reach_the_settings_and_the_rest_the_function(
    application: click.Group, invocation: dict[str, object]
) -> None:
    result = _run(application, "look", "./m", "--loud", "--listen", "127.0.0.1:1", "--log-level", "debug")
    assert (result.exit_code, invocation["source"], invocation["loud"]) == (0, "./m", True)
    chosen = invocation["chosen"]
    assert isinstance(chosen, settings.Settings)
    assert (str(chosen.listen), chosen.log.level, chosen.runtime) == ("127.0.0.1:1", "debug", "memory")


def test_with_settings__a_flag_before_the_command__holds_unless_it_is_given_again(
    application: click.Group, invocation: dict[str, object]
) -> None:
    _run(application, "--root", "/one", "look", "m")
    assert str(getattr(invocation["chosen"], "root", "")) == "/one"
    _run(application, "--root", "/one", "look", "m", "--root", "/two")
    assert str(getattr(invocation["chosen"], "root", "")) == "/two"


def test_with_settings__source_left_out__is_taken_from_the_variable(
    application: click.Group, invocation: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_SOURCE", "/etc/trimtab/manifests")
    assert _run(application, "look").exit_code == 0
    assert invocation["source"] == "/etc/trimtab/manifests"


def test_with_settings__help__shows_the_commands_own_words_and_the_flags(application: click.Group) -> None:
    text = _run(application, "look", "--help").output
    assert "Look at it." in text
    assert "--run-dir" in text
    assert "--listen" in text
