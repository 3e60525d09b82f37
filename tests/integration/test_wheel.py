"""What the wheel holds besides the program: what a host needs to run it as a service, and its licence."""

import email
import email.message
import json
import pathlib
import zipfile
from collections.abc import Iterator

import pytest

from agent import __version__
from tests.integration import wheels

PREFIX = f"trimtab-{__version__}"
SHARE = f"{PREFIX}.data/data/share/trimtab"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheels.build(tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    return email.message_from_bytes(wheel.read(f"{PREFIX}.dist-info/METADATA"))


@pytest.mark.parametrize(
    ("packed", "original"),
    [
        ("systemd/trimtab.service", "ops/systemd/trimtab.service"),
        ("prometheus/trimtab.rules.yml", "ops/prometheus/trimtab.rules.yml"),
    ],
)
def test_wheel__files_of_the_service__are_those_of_the_checkout(
    wheel: zipfile.ZipFile, packed: str, original: str
) -> None:
    assert wheel.read(f"{SHARE}/{packed}") == (wheels.REPOSITORY / original).read_bytes()


def test_wheel__schemas__are_all_there(wheel: zipfile.ZipFile) -> None:
    packed = {pathlib.PurePath(name).name for name in wheel.namelist() if name.startswith(f"{SHARE}/schemas/")}
    assert packed == {path.name for path in (wheels.REPOSITORY / "crds").iterdir()}


def test_wheel__licence__is_apache_by_name_and_in_full(wheel: zipfile.ZipFile, metadata: email.message.Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    text = wheel.read(f"{PREFIX}.dist-info/licenses/LICENSE").decode()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_wheel__metadata__says_what_it_is_for_and_names_no_address_that_is_not_known(
    metadata: email.message.Message,
) -> None:
    assert "Operating System :: POSIX :: Linux" in metadata.get_all("Classifier", [])
    assert "containers" in metadata["Keywords"]
    assert metadata.get_all("Project-URL") is None


def test_wheel__packages__are_the_agent_alone(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"agent", f"{PREFIX}.data", f"{PREFIX}.dist-info"}


def test_schemas__have_identifiers_of_their_own() -> None:
    schemas = sorted((wheels.REPOSITORY / "crds").glob("*.schema.json"))
    identifiers = [json.loads(path.read_text())["$id"] for path in schemas]
    assert identifiers == [f"https://trimtab.dev/schemas/v1/{path.name}" for path in schemas]
