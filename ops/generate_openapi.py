"""Writes ``ops/docs/openapi.json``: ``make docs``. ``--check`` only tells whether it is stale."""

import json
import pathlib
import sys

from agent.agent_api import openapi

TARGET = pathlib.Path(__file__).parent / "docs" / "openapi.json"


def main() -> int:
    """Write, or compare."""
    text = json.dumps(openapi.document(), indent=2, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        is_stale = not TARGET.exists() or TARGET.read_text() != text
        print("ops/docs/openapi.json is stale: run make docs" if is_stale else "ops/docs/openapi.json is up to date")
        return int(is_stale)
    TARGET.write_text(text)
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
