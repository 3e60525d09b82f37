"""The documents of ``/v1/build``: the order, and the lines that tell how the build goes. Pure, and back."""

from typing import Any, TypeAlias, assert_never

from agent.agent_api import past
from agent.dockerfile import steps as build_steps
from agent.kit import canonical
from agent.runtime import build_orders

LARGEST = 16 * 1024 * 1024
"""Bytes of an order: secrets and a Dockerfile are in it, files are not."""


Line: TypeAlias = build_steps.Progress | build_orders.End


def order(document: object) -> build_orders.Order:
    """Read an order. Raises ``ValueError``."""
    return canonical.restore(build_orders.Order, document)


def document(line: Line) -> past.Json:
    """Return the JSON document of a line."""
    match line:
        case build_steps.StepBegun(number=number, title=title):
            return {"event": "begun", "step": number, "title": title}
        case build_steps.StepOutput(number=number, data=data):
            return {"event": "output", "step": number, "text": build_orders.decoded(data)}
        case build_steps.StepEnded(number=number, seconds=seconds, is_cached=is_cached, error=error):
            return {"event": "ended", "step": number, "seconds": seconds, "cached": is_cached, "error": error or None}
        case build_orders.Built(references=references, id=identity, notes=notes):
            return {"event": "built", "references": list(references), "id": identity, "notes": list(notes)}
        case build_orders.Failed():
            return {"event": "failed", **canonical.plain(line)}
        case _:
            assert_never(line)


def restore(read: Any) -> Line:  # noqa: ANN401 - JSON's own shape
    """Return the line of a document. Raises ``ValueError`` for one that is none."""
    try:
        match read["event"]:
            case "begun":
                return build_steps.StepBegun(int(read["step"]), str(read["title"]))
            case "output":
                return build_steps.StepOutput(int(read["step"]), build_orders.encoded(str(read["text"])))
            case "ended":
                end = float(read["seconds"]), bool(read["cached"]), str(read["error"] or "")
                return build_steps.StepEnded(int(read["step"]), *end)
            case "built":
                notes = tuple(map(str, read["notes"]))
                return build_orders.Built(tuple(map(str, read["references"])), str(read["id"]), notes)
            case "failed":
                return canonical.restore(
                    build_orders.Failed, {name: item for name, item in read.items() if name != "event"}
                )
            case _:
                pass
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no line of a build: {type(error).__name__}: {error}") from error
    raise ValueError(f"no line of a build: {read['event']!r:.60}")
