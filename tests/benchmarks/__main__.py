"""``make bench``: what the agent costs, beside Docker Engine, in one run on one machine.

Both sides run in turns (ours, theirs, ours, ...), because machines are shared and noisy: what counts are medians and
ratios of the same run. Results go to the terminal as a table and to ``build/bench/results.json``.

    python -m tests.benchmarks [--rounds 3] [--only NAME ...]
"""

import argparse
import json
import pathlib
import platform
import sys
import tempfile
import time

from tests.benchmarks import (
    agent_figures,
    comparison,
    docker_engine,
    engine_figures,
    figures,
    planner_figures,
    pull_figures,
    trimtab_agent,
)

OUTPUT = pathlib.Path("build/bench/results.json")


def main() -> int:
    """Run the benchmarks that were asked for."""
    arguments = _arguments()
    results: list[figures.Figure] = []
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-", dir="/var/tmp") as folder:
        work = pathlib.Path(folder)
        if _wanted(arguments.only, "planner"):
            results += planner_figures.measure()
        if _wanted(arguments.only, "agent"):
            results += agent_figures.measure(work, arguments.rounds)
        if _wanted(arguments.only, "docker"):
            with docker_engine.running(work / "docker") as docker:
                results += comparison.measure(trimtab_agent.Side(work), docker, arguments.rounds)
        if _wanted(arguments.only, "engine"):
            results += engine_figures.measure(work, arguments.rounds)
        if _wanted(arguments.only, "pull"):
            results += pull_figures.measure(work, arguments.rounds)
    print(figures.table(results))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(_document(results), indent=2) + "\n")
    print(f"\nwritten to {OUTPUT}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--only", nargs="*", default=[], choices=["planner", "agent", "docker", "engine", "pull"])
    return parser.parse_args()


def _wanted(only: list[str], name: str) -> bool:
    return not only or name in only


def _document(results: list[figures.Figure]) -> dict[str, object]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"kernel": platform.release(), "python": platform.python_version(), "cores": figures.cores()},
        "figures": [figure.document() for figure in results],
    }


if __name__ == "__main__":
    sys.exit(main())
