"""Fuzzing of what comes from outside, by atheris: ``python -m tests.fuzz TARGET [options]``.

Targets are reference, manifest, listing, dockerfile, dockerignore and tar.

Options are libFuzzer's: ``-runs=100000``, ``-max_total_time=600``, ``-seed=1``; a folder among them is where new inputs
that reach something new are kept and begun with. What is found is written to ``crash-…`` here: see ``CONTRIBUTING.md``.
"""

import pathlib
import sys

import atheris

with atheris.instrument_imports(include=["agent"]):
    from tests.fuzz import targets

CORPUS = pathlib.Path(__file__).with_name("corpus")


def main(arguments: list[str]) -> int:
    """Fuzz until it is enough or something is found; libFuzzer ends the process."""
    if not arguments or arguments[0] not in targets.TARGETS:
        sys.stderr.write(f"usage: python -m tests.fuzz {'|'.join(targets.TARGETS)} [libFuzzer's options]\n")
        return 64
    name, *options = arguments
    seeds = ",".join(str(path) for path in sorted((CORPUS / name).iterdir()))
    atheris.Setup([f"tests.fuzz {name}", f"-seed_inputs={seeds}", *options], targets.TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
