"""Which model a document is of, by its first two fields; and what is said where it is of none."""

import pytest

from agent.manifests import decode, pipeline, problem, registry
from agent.model import external_input

VERSION = "apiVersion: trimtab.dev/v1\n"
KNOWN = "(known are Container, Image, Network, Secret, Volume)"
BEGIN = "(begin with apiVersion: trimtab.dev/v1)"


def printed_problems(text: str) -> list[str]:
    """Return the problems of one file, without its name."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", text.encode())])
    return [str(problem).removeprefix("a.yaml:") for problem in parsed.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1", f"1:1: a manifest must be a mapping {BEGIN}"),
        ("text", f"1:1: a manifest must be a mapping {BEGIN}"),
        (
            "name: shop\nservices: {web: {}}",
            (
                "1:1: this is a Compose file: they are not built yet "
                "(write Container manifests, see trimtab explain container)"
            ),
        ),
        ("kind: Container", f"1:1: apiVersion is missing {BEGIN}"),
        ("{}", f"1:1: apiVersion is missing {BEGIN}"),
        ("apiVersion: v1\nkind: Zebra", f"1:13: apiVersion must be trimtab.dev/v1 {BEGIN}"),
        ("kind: x\napiVersion: 2\nservices: {}", f"2:13: apiVersion must be trimtab.dev/v1 {BEGIN}"),
        (f"{VERSION}services: {{}}", f"1:1: kind is missing {KNOWN}"),
        (f"{VERSION}kind: Volumes", "2:7: kind 'Volumes' is unknown (did you mean Volume?)"),
        (f"{VERSION}kind: [Volume]", f"2:7: kind \"['Volume']\" is unknown {KNOWN}"),
        (f"{VERSION}kind: {'x' * 51}", f"2:7: kind '{'x' * 50}' is unknown {KNOWN}"),
    ],
)
def test_document__of_no_model__is_told_what_to_begin_with(text: str, expected: str) -> None:
    assert printed_problems(text) == [expected]


@pytest.mark.parametrize("kind", ["Config", "Stack", "Release", "Source", "Service"])
def test_kind__that_is_to_come__is_told_so(kind: str) -> None:
    assert printed_problems(f"{VERSION}kind: {kind}") == [f"2:7: kind {kind} is not built yet {KNOWN}"]


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_name_of_ours__is_refused_where_it_stands(field: str) -> None:
    text = (
        f"{VERSION}kind: Container\nmetadata:\n  name: web\n  {field}:\n    a: b\n"
        "    trimtab.dev/hosts: x\n    trimtab.dev/owner: y\nspec: {image: x}"
    )
    assert printed_problems(text) == [
        f"7:5: metadata.{field} trimtab.dev/hosts is not built yet (leave it out)",
        f"8:5: metadata.{field} trimtab.dev/owner is not known: that prefix is the agent's own (leave it out)",
    ]


def test_manifest__carries_its_key_its_document_and_where_it_lies() -> None:
    (document,), _ = decode.decode("a.yaml", f"{VERSION}kind: Volume\nmetadata: {{name: data}}".encode())
    folder = external_input.SourceFolder("/srv")
    findings = problem.Findings()
    manifest = registry.parse(document, registry.Location("/srv/site", folder), findings)
    assert manifest is not None
    assert (str(manifest.key), manifest.object.kind) == ("Volume/data", "Volume")
    assert (manifest.document, manifest.directory, manifest.folder) == (document, "/srv/site", folder)
    assert findings.reported() == ()


@pytest.mark.parametrize(("count", "more"), [(problem.MOST, None), (problem.MOST + 1, 1), (problem.MOST + 7, 7)])
def test_problems__of_one_document__beyond_the_first_are_counted(count: int, more: int | None) -> None:
    names = "\n".join(f"    V{number:03}: []" for number in range(count))
    lines = printed_problems(f"{VERSION}kind: Container\nmetadata: {{name: x}}\nspec:\n  image: x\n  env:\n{names}")
    assert len(lines) == problem.MOST + bool(more)
    assert lines[0].startswith("7:11: spec.env.V000 must be a text")
    assert not more or f"there are {more} more problems at least" in lines[-1]
