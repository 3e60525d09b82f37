"""What a commit's links lead to."""

import pytest

from agent.sources import git_tree

_PROBLEMS = [
    ("nowhere", git_tree.Obstacle.MISSING),
    ("mnt/nfs/hosts", git_tree.Obstacle.MISSING),
    ("a.yaml/hosts", git_tree.Obstacle.MISSING),
    ("", git_tree.Obstacle.MISSING),
    ("hosts", git_tree.Obstacle.CIRCLE),
    ("/mnt/nfs/hosts", git_tree.Obstacle.OUTSIDE),
    ("../hosts", git_tree.Obstacle.OUTSIDE),
]


def _listing(name: str, target: str) -> dict[str, str]:
    """List a tree of a manifest and a link: the problem of each, or nothing."""
    entries = [git_tree.Entry("100644", "1", 1, "a.yaml"), git_tree.Entry("120000", "2", len(target), name)]
    manifests = git_tree.GitTree(entries, {"2": target.encode()}).manifests("", 40)
    return {manifest.path: manifest.problem for manifest in manifests}


@pytest.mark.parametrize(("target", "obstacle"), _PROBLEMS)
@pytest.mark.parametrize("name", ["hosts", "hosts.yaml", "notes.txt"])
def test_manifests__a_link_that_could_be_to_a_directory__is_a_problem_whatever_its_name_is(
    name: str, target: str, obstacle: git_tree.Obstacle
) -> None:
    assert _listing(name, name if target == "hosts" else target) == {"a.yaml": "", name: obstacle.value}


@pytest.mark.parametrize("name", [".hidden", "hosts~", "#hosts#", "hosts.bak"])
def test_manifests__a_dangling_link_with_a_name_that_is_passed_over__is_passed_over(name: str) -> None:
    assert _listing(name, "nowhere") == {"a.yaml": ""}
