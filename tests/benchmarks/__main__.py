"""``make bench``: what the agent costs, beside Docker Engine of two generations, in one run on one machine.

All sides run in turns (ours, Docker 20.10, Docker 26.1, ours, ...), because machines are shared and noisy: what counts
are medians and ratios of the same run. Results go to the terminal as a table and to ``build/bench/results.json``, each
part's as soon as it has them, with how long it took: one that fails takes nothing from the others, and the exit code
is 1.

    python -m tests.benchmarks [--rounds 3] [--only NAME ...]
"""

import argparse
import dataclasses
import json
import pathlib
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

from tests.benchmarks import (
    agent_figures,
    build_figures,
    command_figures,
    comparison,
    docker_engine,
    engine_figures,
    figures,
    log_figures,
    manifest_figures,
    network_figures,
    planner_figures,
    pull_figures,
    scale_figures,
    trimtab_agent,
)

OUTPUT = pathlib.Path("build/bench/results.json")
Measurement = Callable[[pathlib.Path, int], list[figures.Figure]]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has come to so far."""

    results: list[figures.Figure] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    """Names of parts."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """How long each part took, with its preparations."""


def main() -> int:
    """Run the parts that were asked for, each in a folder of its own."""
    arguments = _arguments()
    outcome = Outcome()
    for name in arguments.only or PARTS:
        begun = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix=f"trimtab-{name}-", dir="/var/tmp") as folder:
                measured = PARTS[name](pathlib.Path(folder), arguments.rounds)
        except Exception:  # noqa: BLE001 - whatever it is, the other parts are measured
            traceback.print_exc()
            outcome.failed.append(name)
        else:
            outcome.results.extend(measured)
            print(figures.table(measured), flush=True)
        outcome.seconds[name] = time.monotonic() - begun
        print(f"{name}: {_duration(outcome.seconds[name])}", end="\n\n", flush=True)
        _write(outcome)
    failed = f"; failed: {', '.join(outcome.failed)}" if outcome.failed else ""
    print(f"{_duration(sum(outcome.seconds.values()))} in all; written to {OUTPUT}{failed}")
    return 1 if outcome.failed else 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _planner(_: pathlib.Path, __: int) -> list[figures.Figure]:
    return planner_figures.measure()


def _docker(folder: pathlib.Path, rounds: int) -> list[figures.Figure]:
    with docker_engine.both(folder / "docker") as rivals:
        return comparison.measure(trimtab_agent.Side(folder), rivals, rounds)


PARTS: dict[str, Measurement] = {
    "planner": _planner,
    "network": network_figures.measure,
    "manifests": manifest_figures.measure,
    "logs": log_figures.measure,
    "agent": agent_figures.measure,
    "docker": _docker,
    "commands": command_figures.measure,
    "engine": engine_figures.measure,
    "pull": pull_figures.measure,
    "builds": build_figures.measure,
    "scale": scale_figures.measure,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--only", nargs="*", default=[], choices=list(PARTS))
    return parser.parse_args()


def _write(outcome: Outcome) -> None:
    document = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"kernel": platform.release(), "python": platform.python_version(), "cores": figures.cores()},
        "failed": outcome.failed,
        "seconds": {name: round(seconds, 1) for name, seconds in outcome.seconds.items()},
        "figures": [figure.document() for figure in outcome.results],
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
