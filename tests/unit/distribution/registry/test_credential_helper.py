"""Programs that keep logins, asked as Docker asks them; what they print is shown to nobody."""

import json
import os
import pathlib
import traceback

import pytest

from agent import errors
from agent.distribution.registry import credential_helper, credentials

SERVER = "registry.example:5000"
LOGIN = {"ServerURL": SERVER, "Username": "pilot", "Secret": "s3cret"}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder in which programs are found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def _program(folder: pathlib.Path, text: str, name: str = "test") -> None:
    """Make a program; it notes what it was asked, and for whom."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f'#!/bin/sh\nserver=$(cat)\necho "$# $1 $server" >> "{folder}/asked-{name}"\n{text}\n')
    path.chmod(0o755)


def _says(folder: pathlib.Path, answer: object, name: str = "test") -> None:
    (folder / f"{name}.json").write_text(json.dumps(answer))
    _program(folder, f'cat "{folder}/{name}.json"', name)


def _asked(folder: pathlib.Path, name: str = "test") -> list[str]:
    path = folder / f"asked-{name}"
    return path.read_text().splitlines() if path.exists() else []


async def test_ask__a_login_that_it_keeps__is_given(folder) -> None:
    _says(folder, LOGIN)
    assert await credential_helper.ask("test", SERVER) == ("pilot", "s3cret")
    assert _asked(folder) == [f"1 get {SERVER}"]


@pytest.mark.parametrize("stream", ["", " >&2"])
async def test_ask__a_login_that_it_does_not_keep__is_none(folder, stream: str) -> None:
    _program(folder, f'echo "credentials not found in native keychain"{stream}; exit 1')
    assert await credential_helper.ask("test", SERVER) is None


@pytest.mark.parametrize(
    "answer", [{"ServerURL": "", "Username": "", "Secret": ""}, {}, {"ServerURL": SERVER}, {"Username": None}]
)
async def test_ask__a_login_that_is_empty__is_none(folder, answer: dict[str, object]) -> None:
    _says(folder, answer)
    assert await credential_helper.ask("test", SERVER) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo s3cret; echo s3cret >&2; exit 3", "fails with 3"),
        ("kill -9 $$", "fails with -9"),
        ("echo s3cret", "answers with something that is no login"),
        ('echo \'{"Username": "s3cret"\'', "answers with something that is no login"),
        ('echo \'{"Username": "pilot", "Secret": ["s3cret"]}\'', "answers with something that is no login"),
        ("echo '[\"s3cret\"]'", "answers with something that is no login"),
        ("printf '\\377s3cret'", "answers with something that is no login"),
        ("true", "answers with something that is no login"),
    ],
)
async def test_ask__a_program_that_fails__is_named_and_not_quoted(folder, text: str, message: str) -> None:
    _program(folder, text)
    with pytest.raises(errors.Unavailable) as caught:
        await credential_helper.ask("test", SERVER)
    assert caught.value.reason == "CredentialHelperFailed"
    assert caught.value.message == f"docker-credential-test, which keeps the login for {SERVER}, {message}"
    assert caught.value.hint == f"see what it says: echo {SERVER} | docker-credential-test get"
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_ask__a_program_that_hangs__is_ended_in_time(folder, monkeypatch) -> None:
    monkeypatch.setattr(credential_helper, "PATIENCE", 0.3)
    _program(folder, f'echo $$ > "{folder}/pid"; exec sleep 60')
    with pytest.raises(errors.Unavailable, match=r"docker-credential-test.* does not answer within 0\.3 s"):
        await credential_helper.ask("test", SERVER)
    assert not pathlib.Path("/proc", (folder / "pid").read_text().strip()).exists()


def test_patience__is_what_a_person_waits() -> None:
    assert credential_helper.PATIENCE == 15


async def test_ask__no_such_program__says_which() -> None:
    with pytest.raises(errors.InvalidArgument, match=r"'docker-credential-none', which is not installed") as caught:
        await credential_helper.ask("none", SERVER)
    assert caught.value.reason == "CredentialHelperFailed"


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a b", "-x", "x\n", "x\0"])
async def test_ask__a_name_that_is_a_path__is_no_program(folder, name: str) -> None:
    (folder / "docker-credential-..").mkdir()
    evil = folder / "evil"
    evil.write_text('#!/bin/sh\necho \'{"Username": "evil", "Secret": "evil"}\'\n')
    evil.chmod(0o755)
    with pytest.raises(errors.InvalidArgument, match="not installed"):
        await credential_helper.ask(name, SERVER)


async def test_ask__a_program_that_cannot_be_run__says_so(folder) -> None:
    (folder / "docker-credential-test").write_text("#!/no/such/interpreter\n")
    (folder / "docker-credential-test").chmod(0o755)
    with pytest.raises(errors.Unavailable, match=r"docker-credential-test.* cannot be run: No such file"):
        await credential_helper.ask("test", SERVER)


async def _find(
    folder: pathlib.Path, config_json: object, registry: str = SERVER, repository: str = "app"
) -> credentials.Credentials | None:
    config = folder / "config.json"
    config.write_text(json.dumps(config_json))
    return await credentials.find(registry, repository, [config])


async def test_find__a_keychain_for_all__is_asked_by_the_registry_s_name(folder) -> None:
    _says(folder, LOGIN)
    assert await _find(folder, {"credsStore": "test"}) == credentials.Credentials("pilot", "s3cret")
    await _find(folder, {"credsStore": "test"}, "docker.io", "library/nginx")
    assert _asked(folder) == [f"1 get {SERVER}", "1 get https://index.docker.io/v1/"]


async def test_find__an_identity_token_in_a_keychain__is_one(folder) -> None:
    _says(folder, {**LOGIN, "Username": "<token>"})
    assert await _find(folder, {"credsStore": "test"}) == credentials.Credentials(identity_token="s3cret")


async def test_find__a_keychain_of_its_own__is_asked_and_not_the_one_for_all(folder) -> None:
    _says(folder, {**LOGIN, "Username": "own"}, "own")
    _says(folder, LOGIN, "all")
    config_json = {"credsStore": "all", "credHelpers": {SERVER: "own", "other.example": "missing"}}
    assert await _find(folder, config_json) == credentials.Credentials("own", "s3cret")
    assert (_asked(folder, "own"), _asked(folder, "all")) == ([f"1 get {SERVER}"], [])
    assert await _find(folder, config_json, "third.example") == credentials.Credentials("pilot", "s3cret")


async def test_find__a_keychain_for_docker_hub__is_asked_by_the_name_it_was_given_for(folder) -> None:
    _says(folder, LOGIN)
    for name in ("https://index.docker.io/v1/", "docker.io"):
        assert await _find(folder, {"credHelpers": {name: "test"}}, "docker.io", "library/nginx") is not None
    assert _asked(folder) == ["1 get https://index.docker.io/v1/", "1 get docker.io"]


async def test_find__a_keychain_for_a_part_of_the_registry__is_asked_for_that_alone(folder) -> None:
    _says(folder, LOGIN)
    config_json = {"credHelpers": {f"{SERVER}/shop": "test"}}
    assert await _find(folder, config_json, SERVER, "other/web") is None
    assert await _find(folder, config_json, SERVER, "shop/web") == credentials.Credentials("pilot", "s3cret")
    assert _asked(folder) == [f"1 get {SERVER}/shop"]


async def test_find__a_keychain_that_keeps_nothing__gives_way_to_what_the_file_says(folder) -> None:
    _program(folder, "echo credentials not found in native keychain; exit 1")
    auths = {SERVER: {"username": "me", "password": "pw"}, "other.example": {}}
    assert await _find(folder, {"credsStore": "test", "auths": auths}) == credentials.Credentials("me", "pw")
    assert await _find(folder, {"credsStore": "test", "auths": auths}, "other.example") is None


async def test_find__a_keychain_that_fails__is_told_and_not_passed_over(folder) -> None:
    _program(folder, "exit 1")
    auths = {SERVER: {"username": "me", "password": "pw"}}
    with pytest.raises(errors.Unavailable, match="docker-credential-test"):
        await _find(folder, {"credsStore": "test", "auths": auths})
