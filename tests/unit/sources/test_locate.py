"""Which source a SOURCE names."""

import pathlib

import pytest

from agent.sources import api, directory, git, locate


def _locate(text: str) -> object:
    return locate.locate(text, pathlib.Path("/nowhere"), locate.Options())


def test_locate__a_path__is_a_directory_source_with_the_name_as_typed() -> None:
    located = _locate("./manifests/")
    assert isinstance(located, directory.DirectorySource)
    assert located.name == "./manifests/"


def test_locate__git_url__is_a_git_source() -> None:
    located = _locate("git+https://u:p@example.org/x#main")
    assert isinstance(located, git.GitSource)
    assert located.name == "git+https://example.org/x#main"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oci+registry.example.org/fleet:1", "are not built yet"),
        ("https://example.org/fleet.git", r"for a git repository: git\+https://example.org/fleet.git"),
        ("s3://bucket/x", "a SOURCE is a directory, a file, or git"),
        ("", "SOURCE is empty"),
        ("a\0b", "SOURCE is empty"),
    ],
)
def test_locate__what_is_no_source__is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(api.BadSource, match=message):
        _locate(text)


@pytest.mark.parametrize("text", ["git+http://u:p@example.org/fleet", "git+git://example.org/fleet"])
def test_locate__a_transport_that_anybody_on_the_way_can_change__is_refused_unless_allowed(text: str) -> None:
    with pytest.raises(api.BadSource, match=r"allowInsecureTransports: true") as caught:
        _locate(text)
    assert "u:p" not in str(caught.value)
    options = locate.Options(allow_insecure_transports=True)
    assert isinstance(locate.locate(text, pathlib.Path("/nowhere"), options), git.GitSource)
