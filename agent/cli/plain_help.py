"""What ``--help`` calls arguments and values: ``NAME...`` and ``N``, not ``{NAME...}...`` and ``<int range>``."""

from typing import Any


def apply_to(param: Any) -> None:  # noqa: ANN401 - typer's parameter
    """Name a parameter plainly in its command's help."""
    if param.param_type_name == "argument":
        name = argument_name(param)
        param.get_usage_pieces = lambda _: [name]
        param.display_type_rich = lambda **_: None
    else:
        value = value_name(param)
        param.display_type_rich = lambda **_: value
    param._get_number_range_help_str = lambda: None  # noqa: SLF001 - an error says what a number may be


def argument_name(param: Any) -> str:  # noqa: ANN401 - typer's parameter
    """Return what an argument is called: one that may be left out stands in brackets."""
    name = str(param.metavar)
    return name if param.required or name.startswith("[") else f"[{name}]"


def value_name(param: Any) -> str:  # noqa: ANN401 - typer's parameter
    """Return what an option's value is called; empty for one that takes none."""
    if param.is_flag:
        return ""
    described = param.type_descriptor
    choices = "|".join(map(str, described.choices or ()))
    return param.metavar or choices or ("N" if described.is_ranged else "TEXT")
