"""Where a build's result goes beside the image store, as ``--output`` of BuildKit names it. Pure."""

import enum
import re

from agent.kit import frozen

_FIELD = re.compile(r"[a-z-]+=")
_FORM = "write DIRECTORY, type=local,dest=DIRECTORY, or type=tar,dest=FILE"
STDOUT = "-"


class OutputType(enum.StrEnum):
    """What is written."""

    LOCAL = "local"
    """The files of the target's stage, into a directory."""
    TAR = "tar"
    """A tar archive of them."""
    IMAGE = "image"
    """Nothing beside the image."""


@frozen.value
class Output:
    """Where to."""

    type: OutputType
    path: str = ""
    """Of the directory, or the archive; ``-``: stdout. Empty for an image."""


def parse(text: str) -> Output:
    """Read an output. Raises ``ValueError`` with what is wrong."""
    if text == STDOUT:
        return Output(OutputType.TAR, STDOUT)
    if not _FIELD.match(text):
        if not text:
            raise ValueError(f"it is empty: {_FORM}")
        return Output(OutputType.LOCAL, text)
    fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
    kind, path = fields.pop("type", ""), fields.pop("dest", "")
    if kind in {"docker", "oci"}:
        raise ValueError(
            f"type={kind} is not built: name the image by --tag, and trimtab image save REFERENCE --to FILE"
        )
    if kind == "registry":
        raise ValueError("type=registry is not built: name the image by --tag, and trimtab image push REFERENCE")
    if kind not in set(OutputType) or fields:
        wrong = next(iter(fields), f"type={kind}")
        raise ValueError(f"{wrong[:50]} is not known: {_FORM}")
    output = Output(OutputType(kind), path)
    if (output.type is OutputType.IMAGE) == bool(path) or (output.type is OutputType.LOCAL and path == STDOUT):
        raise ValueError(f"dest={path[:50]} does not go with type={kind}: {_FORM}")
    return output
