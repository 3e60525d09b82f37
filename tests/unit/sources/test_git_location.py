"""What a git SOURCE says."""

import pytest

from agent.sources import api, git_location

GitLocation = git_location.GitLocation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git+https://example.org/fleet.git", GitLocation("https://example.org/fleet.git")),
        ("git+https://example.org/fleet#main", GitLocation("https://example.org/fleet", reference="main")),
        (
            "git+https://example.org:8443/fleet?interval=5m#release/2:hosts/edge",
            GitLocation("https://example.org:8443/fleet", "", "release/2", "hosts/edge", 300.0),
        ),
        ("git+ssh://git@example.org/fleet#v1.0", GitLocation("ssh://git@example.org/fleet", reference="v1.0")),
        ("git+git@example.org:team/fleet.git", GitLocation("ssh://git@example.org/team/fleet.git")),
        ("git+file:///srv/fleet", GitLocation("file:///srv/fleet")),
        ("git+/srv/fleet", GitLocation("file:///srv/fleet")),
        ("git+git://[::1]/fleet", GitLocation("git://[::1]/fleet")),
        ("git+https://me:s3cret@example.org/fleet", GitLocation("https://example.org/fleet", "me:s3cret")),
        ("git+https://token@example.org/fleet", GitLocation("https://example.org/fleet", "token")),
        (
            "git+https://example.org/fleet?interval=1h30m#:sub/.",
            GitLocation("https://example.org/fleet", subpath="sub", interval=5400.0),
        ),
    ],
)
def test_parse__what_people_write__is_understood(text: str, expected: GitLocation) -> None:
    assert git_location.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "git+https://me:pass%0Aword@example.org/fleet",
        "git+ftp://example.org/fleet",
        "git+ext::sh -c id",
        "git+ext://sh",
        "git+https:///fleet",
        "git+https://example.org/fleet#--upload-pack=id",
        "git+https://example.org/fleet#-b",
        "git+https://example.org/fleet#a..b",
        "git+https://example.org/fleet#main:../etc",
        "git+https://example.org/fleet#main:/etc",
        "git+https://example.org/fleet?interval=soon",
        "git+https://example.org/fleet?interval=",
        "git+https://example.org/fleet?interval=0s",
        "git+https://example.org/fleet?depth=1",
        "git+ssh://-oProxyCommand=id/fleet",
        "git+ssh://me:password@example.org/fleet",
        "git+https://example.org:port/fleet",
        "git+https://exa mple.org/fleet",
        "git+https://example.org%0ahost=evil.example/fleet",
        "git+https://example.org/fleet%0d%0ahost=evil.example",
        "git+https://example.org/fleet%0Dhost=evil.example",
        "git+https://example.org/fleet%00",
        "git+relative/path",
        "git+",
    ],
)
def test_parse__what_must_not_be_or_cannot_be__is_refused(text: str) -> None:
    with pytest.raises(api.BadSource):
        git_location.parse(text)


@pytest.mark.parametrize("text", ["git+", "git+relative/path"])
def test_parse__neither_url_nor_path__says_what_to_write(text: str) -> None:
    with pytest.raises(api.BadSource) as caught:
        git_location.parse(text)
    assert str(caught.value) == (
        "git+ is followed by neither a URL nor an absolute path "
        "(write git+https://HOST/PATH, git+ssh://USER@HOST/PATH or git+/PATH)"
    )


def test_parse__a_url_without_host__does_not_tell_the_password() -> None:
    with pytest.raises(api.BadSource, match="has no sound host and port") as caught:
        git_location.parse("git+https://me:s3cret/fleet")
    assert "s3cret" not in str(caught.value)


def test_location__printed__never_shows_credentials() -> None:
    location = git_location.parse("git+https://me:s3cret@example.org/fleet#main:sub")
    assert str(location) == "git+https://example.org/fleet#main:sub"
    assert "s3cret" not in repr(location)


def test_location__its_directory__depends_on_repository_and_ref_only() -> None:
    slug = git_location.parse("git+https://example.org/fleet#main").slug
    assert slug == git_location.parse("git+https://me:new@example.org/fleet?interval=5s#main:sub").slug
    assert slug != git_location.parse("git+https://example.org/fleet#other").slug


def test_location__a_full_commit__is_known_as_one() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert git_location.parse(f"git+/srv/fleet#{commit}").commit == commit
    assert git_location.parse("git+/srv/fleet#0123456").commit == ""
