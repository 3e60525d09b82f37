"""The page on security says nothing that no test tries, and forgets no class of escape."""

import ast
import pathlib
import re

from agent.cli import commands
from agent.model import network
from agent.model.key import Kind

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "ops/docs/security.md").read_text()
NUMBERS = (
    "2019-5736 2019-16884 2019-19921 2021-30465 2021-43784 2022-29162 2023-25809 2023-27561 2023-28642 2024-21626 "
    "2024-45310 2025-31133 2025-52565 2025-52881 2019-18837 2022-27650 2025-24965 2020-15257 2021-32760 2021-41103 "
    "2022-23471 2022-23648 2023-25153 2023-25173 2024-25621 2024-40635 2025-64329 2019-14271 2020-13401 2021-21284 "
    "2021-21285 2021-41089 2021-41091 2022-24769 2022-36109 2023-28840 2023-28841 2023-28842 2024-24557 2024-29018 "
    "2024-36620 2024-36621 2024-36623 2024-41110 2025-54388 2025-54410 2024-23651 2024-23652 2024-23653 2022-1227 "
    "2022-27649 2024-1753 2024-9407 2024-9675 2024-9676 2024-11218 2025-9566 2025-6032 2024-8418 2022-0492 "
    "2022-0185 2022-24765 2022-39253 2024-32002 2024-32004 2024-32465 2025-48384 2020-15157 "
    "2025-8283 2021-20206 2025-47290 2022-31030 2021-43816 2022-0811 2022-2989 2022-2990 2019-10152 2023-0778 "
    "2021-3602 2024-23650 2021-41190 2024-3727 2019-1387 2020-5260 2020-11008 2021-21300 2023-22490 2024-50349 "
    "2024-52006 2025-48385 2026-88264 2026-88265 2026-46680 2026-47262 2026-53488 2026-57231 2026-50195 "
    "2026-53489 2026-53492 2026-34040 2026-15792 "
)
"""CVEs of containers, their tools and git, each of which stands for a class."""
UNBUILT_COMMANDS = {"attach", "commit", "export"}
UNBUILT_KINDS = {"Config", "Release", "Service", "Stack"}


def test_every_test_that_is_named__exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 50
    missing = []
    for file, name in named:
        path = ROOT / file
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        missing += [] if name in functions else [f"{file}::{name}"]
    assert missing == []


def test_every_row__names_a_test() -> None:
    section = PAGE.partition("## Escapes and takeovers")[2].partition("## Reporting")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| what happened")]
    assert [row for row in rows if "::test_" not in row.rsplit("|", 2)[1]] == []


def test_every_class__is_answered() -> None:
    assert [number for number in NUMBERS.split() if f"CVE-{number}" not in PAGE] == []


def test_what_is_not_built__is_not_there() -> None:
    """Whoever builds one of these answers the page's rows about it first."""
    assert {entry.name for entry in commands.ENTRIES} & UNBUILT_COMMANDS == set()
    assert {kind.value for kind in Kind} & UNBUILT_KINDS == set()
    assert {driver.value for driver in network.NetworkDriver} & {"overlay", "encrypted"} == set()
