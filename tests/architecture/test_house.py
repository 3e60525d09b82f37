"""The laws of the house, as far as import-linter does not know them."""

import ast
import fnmatch
import importlib
import pathlib
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from agent import reasons

ROOT = pathlib.Path(__file__).parents[2]
AGENT = ROOT / "agent"
MODULES = sorted(AGENT.rglob("*.py"))
PURE = ("model", "oci", "manifests", "plan")
IMPURE = {
    *(
        "asyncio",
        "os",
        "socket",
        "subprocess",
        "aiohttp",
        "pyroute2",
        "structlog",
        "prometheus_client",
        "time",
        "random",
    ),
}
BANNED_NAMES = {"utils", "helpers", "manager", "common", "misc"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 10
MOST_PARAMETERS = 6


def parsed(path: pathlib.Path) -> ast.Module:
    """Read a module."""
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    """Return the names of all modules that are imported, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions() -> Iterator[tuple[pathlib.Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Return every function of the package."""
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines."""
    return (node.end_lineno or 0) - node.lineno + 1


def test_floors__imports_only_go_down() -> None:
    command = [str(pathlib.Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_cycles__there_are_none_typing_included() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    edges = {
        name: {imported for imported in imports(parsed(path)) if imported in names and imported != name}
        for name, path in names.items()
    }
    graph = importlib.import_module("agent.kit.graph")
    packages = {name for name, path in names.items() if path.name == "__init__.py"}
    assert graph.cycle({name: sorted(imports_of - packages) for name, imports_of in sorted(edges.items())}) is None


def test_pure_floors__import_nothing_that_touches_the_world() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for floor in PURE
        for path in sorted((AGENT / floor).rglob("*.py"))
        for name in imports(parsed(path))
        if name.split(".")[0] in IMPURE
    ]
    assert offenders == []


def test_pyroute2__is_known_in_the_network_room_only() -> None:
    offenders = {
        path.parent.relative_to(ROOT)
        for path in MODULES
        if any(name.split(".")[0] == "pyroute2" for name in imports(parsed(path)))
    }
    assert offenders == {pathlib.Path("agent/engine/network")}


def test_type_checking__imports_of_ours_never_hide_in_it() -> None:
    assert [str(path) for path in MODULES if "TYPE_CHECKING" in path.read_text()] == []


def test_files__are_one_room_each() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_functions__are_told_in_named_steps() -> None:
    sizes = [(length(node), f"{path.relative_to(ROOT)}:{node.name}") for path, node in functions()]
    assert [entry for entry in sizes if entry[0] > LONGEST_FUNCTION] == []
    assert statistics.median(size for size, _ in sizes) < MEDIAN_FUNCTION


def test_parameters__are_few() -> None:
    many = []
    for path, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = [argument for argument in arguments if argument.arg not in {"self", "cls"}]
        is_command = "cli" in path.parts
        if len(own) > MOST_PARAMETERS and not is_command:  # a command's parameters are its flags
            many.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert many == []


def test_packages__state_their_law_and_re_export_nothing() -> None:
    for path in MODULES:
        if path.name == "__init__.py":
            tree = parsed(path)
            assert ast.get_docstring(tree), path
            assert list(imports(tree)) == [], path


def test_names__say_what_is_inside() -> None:
    assert [str(path) for path in MODULES if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES] == []


@pytest.mark.parametrize("generator", ["generate_crds", "generate_command_line"])
def test_generated_files__are_up_to_date(generator: str) -> None:
    command = [sys.executable, str(ROOT / "ops" / f"{generator}.py"), "--check"]
    completed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_engine_floors__of_the_contract__are_those_of_the_page() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["agent.engine"]]
    section = (
        (ROOT / "ops/docs/architecture.md").read_text().partition("### Floors of the engine")[2].partition("\n## ")[0]
    )
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    floors = [{name.rstrip("/") for name in row.split("`")[1::2]} for row in rows]
    assert floors == [set(layer.split(" | ")) for layer in layers]


STARTERS = {"exec", "execl", "execle", "execlp", "execv", "execve", "execvp", "fork", "forkpty", "popen", "posix_spawn"}
STARTERS |= {"posix_spawnp", "spawn", "spawnl", "spawnle", "spawnv", "spawnve", "startfile", "system"}
STARTERS |= {"chroot", "create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"}


def test_processes__are_started_in_one_place() -> None:
    elsewhere = []
    for path in MODULES:
        tree, name = parsed(path), str(path.relative_to(ROOT))
        modules = {imported.split(".")[0] for imported in imports(tree)}
        calls = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in STARTERS
        }
        started = {call for call in calls if call.split(".")[0] in {"os", "pty", "asyncio", "loop"}}
        elsewhere += [f"{name}: {used}" for used in sorted(started | (modules & {"subprocess", "multiprocessing"}))]
    assert elsewhere == ["agent/kit/processes.py: subprocess", "agent/kit/reaper.py: os.posix_spawn"]


def test_architecture__the_stations_of_the_walks__exist_and_a_manifests_are_twelve() -> None:
    walks = (ROOT / "ops/docs/architecture.md").read_text().partition("### Station by station")[2].partition("\n## ")[0]
    modules = re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", walks)
    assert len(modules) > 30
    assert [name for name in modules if not (ROOT / f"agent/{name}.py").exists()] == []
    assert re.findall(r"(?m)^(\d+)\. ", walks) == [str(number) for number in range(1, 13)]


def test_reasons__each_is_given_somewhere_or_only_read_from_earlier_releases() -> None:
    code = "".join(path.read_text() for path in (ROOT / "agent").rglob("*.py") if path.name != "reasons.py")
    given = set(re.findall(r"\bReason\.([A-Z_]+)\b", code))
    assert {reason.name for reason in reasons.Reason} - given == {reason.name for reason in reasons.EARLIER}


def test_frozen_values__are_made_by_one_decorator() -> None:
    """``kit.frozen`` makes them in a third of the time: a class that is made otherwise slows every command's start."""
    slow = re.compile(r"@dataclasses\.dataclass\((?=[^)]*frozen=True)(?=[^)]*slots=True)")
    assert [str(path) for path in AGENT.rglob("*.py") if slow.search(path.read_text())] == []


def test_tests__folders__are_all_looked_into(pytestconfig: pytest.Config) -> None:
    """By its usual settings pytest passes over folders that are called ``build``."""
    patterns = pytestconfig.getini("norecursedirs")
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in sorted(folders) if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
