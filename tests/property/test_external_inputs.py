"""Equal external inputs have equal fingerprints, and any change gives another."""

import dataclasses

import hypothesis
from hypothesis import strategies as st

from agent.manifests import env_file
from agent.model import external_input
from agent.model.external_input import ExternalInput, InputKind

READINGS = st.builds(
    external_input.Reading,
    size=st.integers(0, 2**63),
    modified=st.integers(-(2**63), 2**63),
    inode=st.integers(0, 2**64),
    content=st.binary(max_size=64),
)
IDENTITY = {
    InputKind.ARCHIVE: lambda reading: (reading.size, reading.modified, reading.inode),
    InputKind.ENV_FILE: lambda reading: reading.content,
    InputKind.BUILD: lambda reading: reading.content,  # that of names, sizes and times
}
"""What an input of each kind is known by."""


def test_every_kind__has_a_fingerprint_and_an_identity() -> None:
    assert set(external_input.FINGERPRINTS) == set(InputKind) == set(IDENTITY)


@hypothesis.given(kind=st.sampled_from(InputKind), first=READINGS, second=READINGS, share=st.booleans())
def test_fingerprints__are_equal_where_the_inputs_are__and_only_there(kind, first, second, share: bool) -> None:
    external = ExternalInput(kind, "/a")
    other = first if share else second
    fingerprints = {external_input.state_of(external, reading).fingerprint for reading in (first, other)}
    assert (len(fingerprints) == 1) == (IDENTITY[kind](first) == IDENTITY[kind](other))
    assert external_input.MISSING not in fingerprints


@hypothesis.given(st.sampled_from(InputKind), READINGS, st.sampled_from(("size", "modified", "inode")))
def test_fingerprints__one_number_differs__counts_for_metadata_only(kind, reading, field: str) -> None:
    changed = dataclasses.replace(reading, **{field: getattr(reading, field) + 1})
    external = ExternalInput(kind, "/a")
    before, after = (external_input.state_of(external, read).fingerprint for read in (reading, changed))
    assert (before == after) == (kind is not InputKind.ARCHIVE)


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1).filter(
    lambda name: "=" not in name and not name.startswith(("#", "\ufeff")) and not any(map(str.isspace, name))
)
VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\n")).filter(
    lambda value: not value.endswith("\r")
)


@hypothesis.given(st.dictionaries(NAMES, VALUES))
def test_env_file__variables_that_are_put_in__are_what_comes_out(variables: dict[str, str]) -> None:
    data = "".join(f"{name}={value}\n" for name, value in variables.items()).encode()
    parsed = env_file.parse(data)
    assert (dict(parsed.variables), parsed.mistakes) == (variables, ())


@hypothesis.given(st.binary())
def test_env_file__whatever_bytes__ends_and_gives_each_mistake_a_line(data: bytes) -> None:
    parsed = env_file.parse(data)
    assert all(1 <= mistake.line <= data.count(b"\n") + 1 for mistake in parsed.mistakes)
    assert all("=" not in name and "\0" not in name + value for name, value in parsed.variables.items())
