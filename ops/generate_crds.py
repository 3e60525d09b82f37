"""Writes ``crds/`` from the models: ``make crds``. ``--check`` only tells whether it is stale, and fails when it is."""

import pathlib
import sys

from agent.manifests import schema

TARGET = pathlib.Path(__file__).parent.parent / "crds"


def main() -> int:
    """Write, or compare."""
    wanted = schema.files()
    present = {path.name: path.read_text() for path in TARGET.iterdir() if path.is_file()} if TARGET.exists() else {}
    if "--check" in sys.argv[1:]:
        stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
        print("\n".join(f"crds/{name} is stale: run make crds" for name in stale) or "crds/ is up to date")
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for name in present.keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, text in wanted.items():
        (TARGET / name).write_text(text)
    print(f"wrote {len(wanted)} files into {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
