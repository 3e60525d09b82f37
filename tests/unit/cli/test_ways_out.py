"""Every error names a command to type, whichever command failed and however."""

import pathlib

import pytest

from agent import errors
from agent.cli import main, ways_out

MISSING = "/nonexistent-trimtab"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["status", "web"], "run SOURCE"),
        (["describe", "web"], "run SOURCE"),
        (["logs", "web"], "status says what there is"),
        (["exec", "web", "true"], "status says what there is"),
        (["plan", MISSING], "trimtab plan --help"),
        (["apply", MISSING], "trimtab apply --help"),
        (["delete", MISSING], "trimtab delete --help"),
        (["validate", MISSING], "trimtab validate --help"),
        (["render", MISSING], "trimtab render --help"),
        (["run", "--once", MISSING], "trimtab run --help"),
        (["plan", "manifests/quickstart", "--observed", MISSING], "trimtab plan --help"),
        (["reconcile"], "run SOURCE"),
        (["suspend", "web"], "run SOURCE"),
        (["explain", "pod"], "trimtab explain --help"),
        (["image", "rm", "app"], "image ls lists the images"),
        (["image", "load", MISSING], "trimtab image load --help"),
        (["logs"], "trimtab logs --help"),
        (["nonsense"], "trimtab --help"),
        (["status", "--output", "xml"], "trimtab status --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_error__of_any_command__names_a_command_to_type(
    words: list[str], named: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run"), "--runtime", "memory"]
    assert main.main([*flags, *words]) in {1, 64}
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith(" hint: ")
    assert "trimtab " in last_line
    assert named in last_line


def test_hint__that_names_a_command__stays_as_it_is() -> None:
    error = errors.TrimtabError("it is full", hint="trimtab system prune frees some")
    assert ways_out.hint(error, "trimtab plan") == "trimtab system prune frees some"


def test_hint__without_a_command__has_one_behind_it() -> None:
    error = errors.Unavailable("nft failed", hint="install nftables")
    completed = ways_out.hint(error, "trimtab plan", lambda text: text.replace("trimtab ", "trimtab --root /r "))
    assert completed == "install nftables; trimtab --root /r doctor says what this host lacks"
