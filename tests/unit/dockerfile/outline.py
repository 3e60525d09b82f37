"""A parsed Dockerfile as lines of text, for tests."""

import dataclasses
import json
from collections.abc import Iterator

from agent.dockerfile import instructions, lines, parse


def outline(data: bytes) -> list[str]:
    """Return what a Dockerfile is, or its mistakes, line by line."""
    parsed = parse.parse(data)
    if parsed.mistakes:
        return [f"! {mistake}" for mistake in parsed.mistakes]
    return list(_dockerfile(parsed.dockerfile))


def _dockerfile(dockerfile: instructions.Dockerfile) -> Iterator[str]:
    if dockerfile.escape != "\\":
        yield f"escape {dockerfile.escape}"
    if dockerfile.syntax:
        yield f"syntax {dockerfile.syntax}"
    for argument in dockerfile.arguments:
        yield _instruction(argument)
    for stage in dockerfile.stages:
        name = f" as {stage.name}" if stage.name else ""
        platform = f" on {stage.platform}" if stage.platform else ""
        yield f"FROM {stage.base}{name}{platform}"
        for instruction in stage.instructions:
            yield f"  {_instruction(instruction)}"


def _instruction(instruction: instructions.Instruction) -> str:
    fields = {
        field.name: getattr(instruction, field.name)
        for field in dataclasses.fields(instruction)
        if field.name != "origin" and getattr(instruction, field.name) != field.default
    }
    shown = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
    return f"{type(instruction).__name__.upper()} {shown}"


def _value(value: object) -> str:
    match value:
        case instructions.Command(words, is_shell, documents):
            form = "shell" if is_shell else "exec"
            return " ".join((form, json.dumps(list(words), ensure_ascii=False), *map(_document, documents)))
        case instructions.Sources():
            return " ".join(
                (
                    json.dumps(list(value.paths), ensure_ascii=False),
                    *map(_document, value.documents),
                    "->",
                    value.target,
                    *(f"chown={value.chown}" for _ in range(bool(value.chown))),
                    *(f"chmod={value.chmod}" for _ in range(bool(value.chmod))),
                    *("link" for _ in range(value.is_linked)),
                    *(f"without {pattern}" for pattern in value.excluded),
                )
            )
        case tuple():
            return json.dumps(value, ensure_ascii=False)
        case None | str() | int():
            return str(value)
        case _:
            return f"({_instruction(value)})"  # type: ignore[arg-type] # ONBUILD's


def _document(document: lines.HereDocument) -> str:
    kind = "<<-" * document.strips_tabs or "<<"
    spelled = document.name if document.expands else f"'{document.name}'"
    return f"{document.descriptor}{kind}{spelled} {json.dumps(document.content)}"
