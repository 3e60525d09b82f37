"""The page about state names modules, tests and labels that there are, and every file that an instance has."""

import re

import pytest

from agent.model import key
from tests import instances

PAGE = (instances.REPOSITORY / "ops" / "docs" / "state.md").read_text()
AGENT = instances.REPOSITORY / "agent"
MODULES = sorted(
    {
        path.partition(".")[0]
        for path in re.findall(r"`((?:kit|engine|model|drivers|converge|plan|sources|manifests)/[a-z_/.]+)`", PAGE)
    }
)
LABELS = sorted(set(re.findall(r"`(trimtab\.dev/[a-z-]+)`", PAGE)))


@pytest.mark.parametrize("module", MODULES)
def test_state_page__a_module_that_it_names__is_there(module: str) -> None:
    assert (AGENT / f"{module}.py").is_file() or (AGENT / module).is_dir()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`(tests/[a-z_/]+\.(?:py|json)|tests/[a-z_/]+-1\.json)`", PAGE)))
)
def test_state_page__a_test_that_it_names__is_there(path: str) -> None:
    assert (instances.REPOSITORY / path).is_file()


def test_state_page__labels__are_all_that_the_agent_writes() -> None:
    sources = "\n".join(path.read_text() for path in AGENT.rglob("*.py"))
    labels = {key.PREFIX + name for name in re.findall(r'PREFIX \+ "([a-z-]+)"', sources)}
    named = set(LABELS) | {f"{key.PREFIX}{name}" for name in ("kind", "name")}
    assert labels - named == set()


def test_state_page__files_of_an_instance__are_all_described() -> None:
    files = {path.partition("/")[0].removesuffix("-shm").removesuffix("-wal") for path in instances.ALL_FILES}
    assert {name for name in files if f"`{name}" not in PAGE} == set()
