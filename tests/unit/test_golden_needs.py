"""What the code of earlier releases imports is installed with what tests need."""

import ast
import re
import sys
import tarfile
import tomllib
from importlib import metadata

import pytest

from tests import instances
from tests.compat import golden


def _imported(release: str) -> set[str]:
    """Return the top-level packages that a release's code imports, beside the standard library's and its own."""
    names: set[str] = set()
    with tarfile.open(golden.FOLDER / release / "agent.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".py") and (file := archive.extractfile(member)) is not None:
                for node in ast.walk(ast.parse(file.read())):
                    if isinstance(node, ast.Import):
                        names |= {alias.name.partition(".")[0] for alias in node.names}
                    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"agent", "pydantic_core"}  # it comes with pydantic


def _declared() -> set[str]:
    """Return the distributions that this project asks for, tests' included."""
    project = tomllib.loads((instances.REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in wanted}


@pytest.mark.parametrize("release", golden.RELEASES)
def test_golden_release__what_it_imports__is_declared_among_the_tests_packages(release: str) -> None:
    distributions, declared, imported = metadata.packages_distributions(), _declared(), _imported(release)
    missing = {
        name
        for name in imported
        if not {each.lower().replace("_", "-") for each in distributions.get(name, [])} & declared
    }
    assert (len(imported) > 10, missing) == (True, set())
