"""What each command imports: half a millisecond a module, before anything is done."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from agent.cli import commands
from agent.drivers.native import translate
from agent.engine import engine, layout, records
from agent.engine.containers import table
from agent.engine.shim import liveness, oci_runtime
from agent.oci import image_config, platform
from tests import builders

_HEAVY = ("agent.app", "typer", "agent.manifests", "agent.converge", "aiohttp", "pydantic", "rich", "structlog", "yaml")
_MODULES_OF_HELP = 160
"""As many as Python, click and the table itself take, and some: each one more is half a millisecond."""
_MODULES_OF_A_COMMAND = 230
"""Those of a command's flags and of its question to the agent, beside the ones of ``--help``."""
_MODULES_OF_STREAMS = 315
"""Those that read one record and a log, or run a program in a container."""


def loaded(*words: str, **variables: str) -> set[str]:
    """Return the modules that a command has imported at its end."""
    program = (
        "import atexit, json, os, sys\n"
        "from agent.kit import deferral\n"
        "loaded = lambda: sorted(n for n, m in list(sys.modules.items()) if type(m) is not deferral.Deferred)\n"
        "write, leave = lambda: os.write(2, json.dumps(loaded()).encode()), os._exit\n"
        "atexit.register(write)\n"
        "os._exit = lambda code: (write(), leave(code))\n"
        "sys.argv[0] = 'trimtab'\n"
        "from agent import __main__\n"
        "__main__.main()\n"
    )
    environment = {**os.environ, **variables}
    completed = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, check=True, env=environment
    )
    return set(json.loads(completed.stderr))


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> list[str]:
    """Record that ``web`` runs (as this process) and has written a line; returns the flags that lead to it."""
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.prepare()
    database = records.Database(where.records, engine.SCHEMAS, second_log=where.second_log)
    run = table.Run("", os.getpid(), None, os.getpid(), liveness.start_time(os.getpid()), ())
    record = table.ContainerRecord(
        id="1",
        name="web",
        spec=translate.container_spec(builders.config(), ()),
        image_id="sha256:1",
        image_config=image_config.ImageConfig(platform.Platform("linux", "", ""), (), (), (), "", "", "", (), (), ()),
        lower_dirs=(),
        stop_signal="SIGTERM",
        phase=table.Phase.RUNNING,
        created_at=1.0,
        run=run,
    )
    table.Table(database).put(record)
    database.close()
    where.log(record.id).parent.mkdir(parents=True, exist_ok=True)
    where.log(record.id).write_text("2026-01-02T00:00:00.000000000+00:00 stdout F a line\n")
    program = tmp_path / "crun"
    program.write_text('#!/bin/sh\nwhile [ "$1" != --pid-file ]; do shift; done\necho $$ > "$2"\n')
    program.chmod(0o755)
    oci_runtime.remember(where.run, oci_runtime.Program(program))
    return ["--root", str(where.root), "--run-dir", str(where.run)]


@pytest.mark.parametrize("words", [["--help"], ["version"]], ids=" ".join)
def test_imports__of_what_needs_nothing__are_few(words: list[str]) -> None:
    modules = loaded(*words)
    assert not modules & {*_HEAVY, "agent.settings", "asyncio"}
    assert len(modules) < _MODULES_OF_HELP


@pytest.mark.parametrize("entry", commands.ENTRIES, ids=lambda entry: entry.name)
def test_imports__of_a_command_that_is_only_described__are_those_of_its_flags(entry: commands.Entry) -> None:
    modules = loaded(entry.name, "--help")
    assert not modules & set(_HEAVY)
    assert len(modules) < _MODULES_OF_A_COMMAND


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "web", "--output", "json"],
        ["describe", "web"],
        ["history"],
        ["events", "web", "-n", "1"],
        ["reconcile"],
        ["restart", "web"],
        ["suspend", "web"],
        ["resume", "web"],
    ],
    ids=" ".join,
)
def test_imports__of_what_the_agent_answers__are_those_of_the_question(agent: list[str], words: list[str]) -> None:
    modules = loaded(*agent, *words)
    assert not modules & {*_HEAVY, "asyncio"}
    assert len(modules) < _MODULES_OF_A_COMMAND


def test_imports__of_plan_beside_an_agent_of_the_same_source__are_those_of_the_question(agent: list[str]) -> None:
    root = pathlib.Path(agent[agent.index("--root") + 1])
    modules = loaded(*agent, "plan", str(root.parent / "manifests"))
    assert not modules & {*_HEAVY, "asyncio"}
    assert len(modules) < _MODULES_OF_A_COMMAND


def test_imports__of_logs__are_those_of_one_record_and_its_log(instance: list[str]) -> None:
    modules = loaded(*instance, "logs", "-n", "1", "web")
    assert not modules & set(_HEAVY)
    assert len(modules) < _MODULES_OF_STREAMS


def test_imports__of_exec__are_those_of_one_record_and_the_oci_runtime(instance: list[str]) -> None:
    modules = loaded(*instance, "exec", "web", "true")
    assert not modules & {*_HEAVY, "agent.cli.log_output"}
    assert len(modules) < _MODULES_OF_STREAMS


def test_imports__of_top__are_those_of_one_record_and_proc(instance: list[str]) -> None:
    modules = loaded(*instance, "top", "web")
    assert not modules & set(_HEAVY)
    assert len(modules) < _MODULES_OF_STREAMS


def test_imports__of_the_version_flag__are_hardly_any() -> None:
    assert not {"click", "agent.cli"} & loaded("--version")


def test_imports__of_completion_of_names__are_those_of_a_question(agent: list[str]) -> None:
    words = " ".join(["trimtab", *agent, "status", "w"])
    variables = {"_TRIMTAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(agent) + 2)}
    modules = loaded(**variables)
    assert not modules & {*_HEAVY, "asyncio"}
    assert len(modules) < _MODULES_OF_A_COMMAND


def test_imports__of_completion__are_those_of_the_list() -> None:
    variables = {"_TRIMTAB_COMPLETE": "bash_complete", "COMP_WORDS": "trimtab ", "COMP_CWORD": "1"}
    assert not loaded(**variables) & set(_HEAVY)
