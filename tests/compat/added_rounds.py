"""Writes state, adds a field to one model after the other, and prints what each such release finds in that state.

``python -m tests.compat.added_rounds FOLDER [declared|undeclared] [MODULE:MODEL …]``: a JSON object, by model.
"""

import importlib
import json
import pathlib
import sys
from typing import Any

from tests.compat import added_field


def main(folder: pathlib.Path, declaration: str, chosen: list[str]) -> None:
    """Write by the release as it is, and read by each later one."""
    sample_state = importlib.import_module("tests.compat.sample_state")
    sample_state.write(folder, _answers(sample_state, folder))
    models = [tuple(model.split(":")) for model in chosen] or sample_state.models()
    problems_by_model = {"": sample_state.check(folder)}
    for module, model in models:
        problems_by_model[f"{module}:{model}"] = _round(folder, module, model, declared=declaration == "declared")
    print(json.dumps(problems_by_model))  # noqa: T201 - it talks to the test


def _answers(sample_state: Any, folder: pathlib.Path) -> dict[str, Any]:
    """Return what an engine says of the declared containers."""
    from tests.unit.drivers.docker import twin  # noqa: PLC0415 - heavy, and only needed by the first release

    naming = sample_state.names.Names(sample_state.sidecar.StateFile(folder / "none.json"), sample_state.OWNER)
    return {
        config.name: twin.inspected("docker-28", config, sample_state.labels(config), naming)
        for config in sample_state.desired().containers
    }


def _round(folder: pathlib.Path, module: str, model: str, *, declared: bool) -> list[str]:
    added_field.forget()
    finder = added_field.Finder(module, model, declared=declared)
    sys.meta_path.insert(0, finder)
    try:
        sample_state = importlib.import_module("tests.compat.sample_state")
        kind = getattr(importlib.import_module(module), model)
        assert added_field.NAME in kind.__dataclass_fields__
        problems: list[str] = sample_state.check(folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return [f"{type(error).__name__}: {error}"]
    finally:
        sys.meta_path.remove(finder)
    return problems


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
