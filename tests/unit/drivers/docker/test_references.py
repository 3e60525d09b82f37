"""Images by name: what counts as a name of one, and which name means it exactly."""

from typing import Any

import pytest

from agent.drivers.docker import references
from agent.model.key import Pairs

HASH = "a" * 64
OWNED: Pairs = (("trimtab.dev/owner", "test1"),)
DIGEST = f"docker.io/library/nginx@sha256:{HASH}"
ENTRY: dict[str, Any] = {
    "Id": "sha256:1",
    "RepoTags": ["nginx:1.27", "<none>:<none>"],
    "RepoDigests": [f"nginx@sha256:{HASH}"],
    "Size": 5,
}


def listed(entry: dict[str, Any], labels: dict[str, Pairs] | None = None) -> dict[str, Pairs]:
    return {
        observed_image.reference: observed_image.labels
        for observed_image in references.observed_images(entry, labels or {})
    }


def test_list__every_tag_is_a_name__and_a_digest_only_where_it_was_asked_for_or_is_the_only_one() -> None:
    assert listed(ENTRY) == {"docker.io/library/nginx:1.27": ()}
    assert listed({**ENTRY, "RepoTags": None}) == {DIGEST: ()}
    assert listed(ENTRY, {DIGEST: OWNED}) == {"docker.io/library/nginx:1.27": (), DIGEST: OWNED}


def test_list__asked_for_by_tag_and_digest__has_that_name_though_engines_drop_the_tag() -> None:
    both = f"docker.io/library/nginx:1.27@sha256:{HASH}"
    assert listed({**ENTRY, "RepoTags": []}, {both: OWNED}) == {both: OWNED}
    assert listed({**ENTRY, "RepoTags": []}, {both.replace("nginx", "httpd"): OWNED}) == {DIGEST: ()}


@pytest.mark.parametrize("fields", [{}, {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}])
def test_list__no_name_or_none_that_a_manifest_can_say__is_nothing(fields: dict[str, Any]) -> None:
    assert listed({"Id": "sha256:1", **fields}) == {}
    assert listed({"Id": "sha256:1", "RepoTags": ["UPPER/case:1"]}) == {}


@pytest.mark.parametrize(
    ("config_image", "tags", "digests", "name"),
    [
        ("nginx:1.27", ["nginx:1.27"], [DIGEST], "docker.io/library/nginx:1.27"),
        ("nginx", ["docker.io/library/nginx:latest"], [], "docker.io/library/nginx:latest"),
        ("nginx:1.27", ["nginx:1.26"], [DIGEST], DIGEST),
        ("nginx:1.27", [], [DIGEST], DIGEST),
        (f"nginx@sha256:{HASH}", ["nginx:1.27"], [DIGEST], DIGEST),
        (f"nginx:1@sha256:{HASH}", ["nginx:1.27"], [DIGEST], f"docker.io/library/nginx:1@sha256:{HASH}"),
        ("nginx:1.27", ["nginx:1.26"], [], "docker.io/library/nginx:1.26"),
        ("sha256:abc", ["<none>:<none>"], [], ""),
        ("not a reference", None, None, ""),
    ],
)
def test_name_of__a_container_s_image__means_exactly_this_one(
    config_image: str, tags: list[str] | None, digests: list[str] | None, name: str
) -> None:
    assert references.name_of(config_image, {"RepoTags": tags, "RepoDigests": digests}) == name


def test_same__short_and_long_forms__mean_one_image() -> None:
    assert references.is_same("nginx", "docker.io/library/nginx:latest")
    assert not references.is_same("nginx:1", "docker.io/library/nginx:latest")
    assert not references.is_same("sha256:<none>", "docker.io/library/nginx:latest")
