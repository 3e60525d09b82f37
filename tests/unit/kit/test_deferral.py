"""Modules that wait until something is taken from them."""

import json
import pathlib
import subprocess
import sys

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[3]


def run(program: str, folder: pathlib.Path) -> object:
    """Return what a program prints as JSON, in another Python that knows the modules of a folder."""
    start = (
        f"import json, sys\nsys.path[:0] = [{str(_REPOSITORY)!r}, {str(folder)!r}]\nfrom agent.kit import deferral\n"
    )
    completed = subprocess.run([sys.executable, "-c", start + program], capture_output=True, check=True)
    return json.loads(completed.stdout)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Write modules that say when they are loaded; returns their folder."""
    (tmp_path / "plain.py").write_text("import sys\nsys.stderr.write('plain')\nvalue = 7\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from package import inner\nvalue = inner.value + 1\n")
    (package / "inner.py").write_text("value = 1\n")
    (tmp_path / "asking.py").write_text(
        "import asking\nfirst = 1\nhas_second = hasattr(asking, 'second')\nsecond = 2\n"
    )
    (tmp_path / "broken.py").write_text("value = 1\nraise RuntimeError('broken')\n")
    (tmp_path / "user.py").write_text("import plain\n")
    return tmp_path


def test_defer__nothing_is_taken__module_is_not_loaded(folder: pathlib.Path) -> None:
    program = "deferral.defer(['plain'])\nimport plain, user, plain\nprint(json.dumps('value' in vars(plain)))"
    assert run(program, folder) is False


@pytest.mark.parametrize("taking", ["import plain; value = plain.value", "from plain import value"])
def test_defer__something_is_taken__module_is_loaded(folder: pathlib.Path, taking: str) -> None:
    program = f"deferral.defer(['plain'])\n{taking}\nprint(json.dumps([value, type(sys.modules['plain']).__name__]))"
    assert run(program, folder) == [7, "module"]


@pytest.mark.parametrize(
    "taking", ["import package.inner", "from package import inner", "import package; package.value"]
)
def test_defer__of_a_package__its_own_code_runs_before_a_submodule(folder: pathlib.Path, taking: str) -> None:
    program = f"deferral.defer(['package'])\n{taking}\nimport package\nprint(json.dumps(vars(package).get('value')))"
    assert run(program, folder) == 2


def test_defer__module_asks_for_what_it_does_not_have_yet__it_is_told_so(folder: pathlib.Path) -> None:
    program = "deferral.defer(['asking'])\nimport asking\nprint(json.dumps([asking.second, asking.has_second]))"
    assert run(program, folder) == [2, False]


def test_defer__module_that_cannot_be_loaded__says_so_each_time(folder: pathlib.Path) -> None:
    program = (
        "deferral.defer(['broken'])\nimport broken\nresult = []\nfor name in ('missing', 'missing'):\n"
        "    try:\n        getattr(broken, name)\n"
        "    except RuntimeError as error:\n        result.append(str(error))\n"
        "print(json.dumps(result))"
    )
    assert run(program, folder) == ["broken", "broken"]


def test_defer__what_is_not_there__is_missing_as_ever(folder: pathlib.Path) -> None:
    program = (
        "deferral.defer(['nowhere', 'plain'])\nimport plain\nresult = []\n"
        "try:\n    import nowhere\nexcept ModuleNotFoundError as error:\n    result.append(error.name)\n"
        "try:\n    plain.missing\nexcept AttributeError as error:\n    result.append(error.name)\n"
        "print(json.dumps(result))"
    )
    assert run(program, folder) == ["nowhere", "missing"]


def test_defer__loaded_module__stays(folder: pathlib.Path) -> None:
    program = "import plain\ndeferral.defer(['plain'])\nprint(json.dumps(sys.modules['plain'] is plain))"
    assert run(program, folder) is True


def test_defer__several_threads_take_at_once__it_is_loaded_once_and_for_all(folder: pathlib.Path) -> None:
    (folder / "slow.py").write_text(
        "import sys, time\nsys.loads = getattr(sys, 'loads', 0) + 1\ntime.sleep(0.2)\nvalue = 7\n"
    )
    program = (
        "import threading\ndeferral.defer(['slow'])\nimport slow\nresult = []\n"
        "threads = [threading.Thread(target=lambda: result.append(slow.value)) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n[thread.join() for thread in threads]\n"
        "print(json.dumps([result, sys.loads]))"
    )
    assert run(program, folder) == [[7, 7, 7, 7], 1]


def test_load__every_module_that_waits__is_loaded(folder: pathlib.Path) -> None:
    program = "deferral.defer(['plain', 'package'])\ndeferral.load()\nimport plain, package\n"
    names = "[vars(plain)['value'], vars(package)['value']]"
    assert run(f"{program}print(json.dumps({names}))", folder) == [7, 2]


def test_table__of_modules__are_of_the_standard_library() -> None:
    program = "print(json.dumps([name for name in deferral.MODULES if name not in sys.stdlib_module_names]))"
    assert run(program, _REPOSITORY) == []
