"""The flags of instructions: which there are, and what they may be."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from agent.dockerfile import lines, mistake, places
from agent.kit import frozen


class Form(enum.Enum):
    """How often a flag may stand, and what it takes."""

    SWITCH = "switch"
    """``--link``, ``--link=true`` or ``--link=false``."""
    VALUE = "value"
    VALUES = "values"
    """A value, as often as one likes."""


_FILES = {"chown": Form.VALUE, "chmod": Form.VALUE, "link": Form.SWITCH, "exclude": Form.VALUES}
FLAGS: Mapping[str, Mapping[str, Form]] = {
    "FROM": {"platform": Form.VALUE},
    "RUN": {"mount": Form.VALUES, "network": Form.VALUE, "security": Form.VALUE},
    "COPY": {**_FILES, "from": Form.VALUE, "parents": Form.SWITCH},
    "ADD": {**_FILES, "checksum": Form.VALUE, "keep-git-dir": Form.SWITCH, "unpack": Form.SWITCH},
    "HEALTHCHECK": dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), Form.VALUE),
}
"""The flags of each instruction that has any."""


@frozen.value
class Flags:
    """The flags of an instruction, by their names."""

    values: Mapping[str, Sequence[places.Text]]
    """The part behind ``=``; of a switch without one, ``true``."""

    def value(self, name: str, default: str = "") -> str:
        """Return a flag's value."""
        return self.values[name][0].text if name in self.values else default

    def all(self, name: str) -> tuple[str, ...]:
        """Return each value of a flag that may stand more than once."""
        return tuple(value.text for value in self.values.get(name, ()))

    def switch(self, name: str) -> bool | None:
        """Return whether a switch is on; ``None`` where it does not stand there."""
        return self.value(name) == "true" if name in self.values else None


def read(instruction: lines.Instruction) -> Flags:
    """Read an instruction's flags. Raises ``Mistake`` for the first that may not be there."""
    forms = FLAGS.get(instruction.name, {})
    values: dict[str, list[places.Text]] = {}
    for flag in instruction.flags:
        name, equals, text = flag.text.removeprefix("--").partition("=")
        form = forms.get(name)
        if form is None:
            hint = mistake.suggestion(name, forms) if forms else f"{instruction.name} has no flags"
            raise flag.mistake(f"the flag --{name} of {instruction.name} is not known", hint)
        if name in values and form is not Form.VALUES:
            raise flag.mistake(f"the flag --{name} is set twice", "remove one")
        if form is Form.SWITCH:
            text = text.lower() if equals else "true"
            if text not in {"true", "false"}:
                raise flag.mistake(f"the flag --{name} is true or false", f"write --{name} alone, or --{name}=false")
        elif not equals:
            raise flag.mistake(f"the flag --{name} needs a value", f"write --{name}=VALUE")
        value = dataclasses.replace(flag.part(len(flag.text) - len(text) if equals else 0), text=text)
        values.setdefault(name, []).append(value)
    return Flags(values)
