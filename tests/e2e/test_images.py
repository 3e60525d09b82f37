"""``trimtab image``: images that a person moves by hand, with and without an agent at work, and never pruned."""

import io
import os
import pathlib
import pty
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests import archives, registry, signing
from tests.e2e import command

pytestmark = pytest.mark.root

ONE, TWO, ROOT = "docker.io/library/one:1", "docker.io/shop/two:2", "docker.io/library/root:latest"


@pytest.fixture
def native(native: command.Trimtab) -> Iterator[command.Trimtab]:
    """The command; what a test has loaded by hand is removed by hand."""
    yield native
    leftovers = [entry["reference"] for entry in native.output("image", "ls") if entry["object"] is None]
    if leftovers:
        _done(native("image", "rm", *leftovers))


def _declared(native: command.Trimtab, image: pathlib.Path) -> pathlib.Path:
    folder = native.home / "manifests"
    (folder / "image.yaml").write_text(
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: web}}\nspec: {{archive: {{path: {image}}}}}\n"
    )
    return folder


def _listed(native: command.Trimtab) -> dict[str, str | None]:
    """Return the object that declares each image, by reference."""
    return {entry["reference"]: entry["object"] for entry in native.output("image", "ls")}


def _done(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_images__by_hand__are_loaded_named_saved_removed_and_loaded_again(native, quickstart_image) -> None:
    assert _done(native("image", "load", quickstart_image, "--as", "one:1")) == f"{ONE}\n"
    assert _done(native("image", "tag", "one:1", "shop/two:2")) == f"{TWO}\n"
    (native.home / "root.tar.gz").write_bytes(archives.packed(archives.tar(archives.folder("bin")), "gzip")[0])
    imported = native(
        "image", "import", native.home / "root.tar.gz", "root", "-c", 'CMD ["/bin/x"]', "-c", 'ENV A="b c"'
    )
    assert _done(imported) == f"{ROOT}\n"
    before = [(entry["reference"], entry["id"], entry["object"]) for entry in native.output("image", "ls")]
    assert [name for name, *_ in before] == [ONE, ROOT, TWO]
    for form in ("oci", "docker"):
        _done(native("image", "save", "one:1", "shop/two:2", "root", "--to", native.home / form, "--format", form))
        assert [entry["reference"] for entry in native.output("image", "rm", "one:1", "shop/two:2", "root")] == [
            *(ONE, TWO, ROOT)
        ]
        assert native.output("image", "ls") == []
        assert sorted(_done(native("image", "load", native.home / form)).split()) == [ONE, ROOT, TWO]
        assert [(entry["reference"], entry["id"], entry["object"]) for entry in native.output("image", "ls")] == before


def test_images__registry_and_limits_in_the_configuration__are_heeded(native, busybox_archive) -> None:
    folder, config = native.home / "manifests", native.home / "config.yaml"
    (folder / "web.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\n"
        "spec: {image: 'team/app:1', command: [sleep, '60'], networks: none, stop: {gracePeriod: 0s}}\n"
    )
    with registry.running(native.home / "registry") as address:
        registry.push(busybox_archive, f"{address}/hub/team/app:1")
        hosts = f"[{{registry: r.example, mirrors: ['http://{address}/hub']}}]"
        config.write_text(f"registries: {{default: r.example, hosts: {hosts}}}\nlayers: {{entries: 1}}\n")
        refused = native("--config", config, "apply", folder)
        assert (refused.returncode, "has more than 1 entries" in refused.stderr) == (1, True), refused.stderr
        config.write_text(f"registries: {{default: r.example, hosts: {hosts}}}\n")
        _done(native("--config", config, "apply", folder))
    assert _listed(native) == {"r.example/team/app:1": "Image/r.example/team/app:1"}
    _done(native("--config", config, "delete", folder))


FOLLOWED = """
apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: app}}
spec: {{pull: {{reference: '{address}/team/app:1.0.0', {pull}}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: {{name: app}}, command: [sleep, '60'], networks: none, stop: {{gracePeriod: 0s}}}}
"""


def _push_another(native, reference: str) -> None:
    """Push an image that is another one than those of archives."""
    busybox = archives.file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755)
    root = native.home / "another.tar"
    root.write_bytes(archives.tar(busybox, archives.symlink("bin/sleep", "busybox")))
    _done(native("image", "import", root, reference))
    _done(native("image", "push", reference))
    _done(native("image", "rm", reference))


@pytest.mark.parametrize(
    ("track", "tag"), [("tag", "1.0.0"), ("^1.0", "1.1.0")], ids=["the tag moves", "a newer version"]
)
def test_images__follow_their_registry__containers_get_what_is_newer(
    native, busybox_archive, track: str, tag: str
) -> None:
    folder = native.home / "manifests"
    with registry.running(native.home / "registry") as address:
        reference = f"{address}/team/app"
        _push_another(native, f"{reference}:next")
        registry.push(busybox_archive, f"{reference}:1.0.0")
        old = str(registry.manifest(f"{reference}:1.0.0")[1]["digest"])
        pull = f"update: {{track: '{track}', interval: 1s}}"
        (folder / "app.yaml").write_text(FOLLOWED.format(address=address, pull=pull))
        with native.running(folder) as agent:
            agent.runs("web")
            agent.assert_shows('trimtab_image_outdated{name="app"}', 0.0)
            assert native.objects()["Image/app"]["image"]["digests"] == [old]
            before = native.output("observe")["observed"]["containers"][0]["id"]
            manifest, _ = registry.manifest(f"{reference}:next")
            new = registry.push_manifest(f"{reference}:{tag}", manifest)
            command.assert_eventually(
                lambda: (
                    [container["id"] for container in native.output("observe")["observed"]["containers"]]
                    not in ([], [before])
                ),
                "the container is replaced",
            )
            agent.runs("web")
            agent.assert_ready()
            image = native.objects()["Image/app"]["image"]
            assert (image["digests"], image["newest"]["digest"]) == ([new], new)
            assert image["newest"]["reference"] == f"{reference}:{tag}"
            assert f"newest ({tag} {new.removeprefix('sha256:')[:12]})" in _done(native("status"))
            assert agent.metric('trimtab_image_outdated{name="app"}') == 0.0
        assert "Image/app" not in _done(native("plan", folder))


def test_images__never_pulled__wait_until_somebody_has_loaded_them(native, busybox_archive) -> None:
    folder = native.home / "manifests"
    (folder / "app.yaml").write_text(FOLLOWED.format(address="r.example", pull="policy: Never"))
    refused = native("apply", folder)
    assert refused.returncode == 1
    assert "r.example/team/app:1.0.0 is not there, and its policy is Never: load it" in refused.stderr
    _done(native("image", "load", busybox_archive, "--as", "r.example/team/app:1.0.0"))
    _done(native("apply", folder))
    _done(native("delete", folder))


def test_images__must_be_signed__are_refused_until_they_are(native, busybox_archive) -> None:
    folder, config = native.home / "manifests", native.home / "config.yaml"
    signer = signing.signer(native.home)
    with registry.running(native.home / "registry") as address:
        registry.push(busybox_archive, f"{address}/team/app:1")
        config.write_text(f"verify: [{{match: '{address}/*', keys: [{native.home}/cosign.pub]}}]\n")
        (folder / "web.yaml").write_text(
            "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\n"
            f"spec: {{image: '{address}/team/app:1', command: [sleep, '60'],"
            " networks: none, stop: {gracePeriod: 0s}}\n"
        )
        refused = native("--config", config, "apply", folder)
        assert refused.returncode == 1
        assert f"{address}/team/app:1 is not signed" in refused.stderr
        signed_digest = str(registry.manifest(f"{address}/team/app:1")[1]["digest"])
        signing.push(f"{address}/team/app", signed_digest, signer.signed(signing.payload(signed_digest)))
        _done(native("--config", config, "apply", folder))
    _done(native("--config", config, "plan", folder))
    signing.signer(native.home)
    pending = native("--config", config, "plan", folder)
    assert (pending.returncode, f"{address}/team/app:1" in pending.stdout) == (2, True), "other keys, another word"
    assert native.output("observe")["observed"]["containers"][0]["state"] == "running", "what runs is let run"
    _done(native("delete", folder))


def test_images__beside_a_running_agent__are_read_and_not_changed(native, quickstart_image) -> None:
    folder = _declared(native, quickstart_image)
    with registry.running(native.home / "registry") as address, native.running(folder) as agent:
        agent.assert_ready()
        assert _listed(native) == {"localhost/web:latest": "Image/web"}
        pushed = native.output("image", "push", "localhost/web", f"{address}/web:1")
        manifest, top = registry.manifest(f"{address}/web:1")
        assert (pushed["digest"], pushed["target"]) == (top["digest"], f"{address}/web:1")
        assert f"{address}/web@{top['digest']}\n" == _done(native("image", "push", "localhost/web", f"{address}/web"))
        _done(native("image", "save", "localhost/web", "--to", native.home / "saved.tar"))
        with tarfile.open(native.home / "saved.tar") as tar:
            assert f"blobs/{manifest['config']['digest'].replace(':', '/')}" in tar.getnames()
        for words in (
            ("tag", "localhost/web", "other:1"),
            ("load", quickstart_image, "--as", "other:1"),
            ("import", quickstart_image, "other:1"),
            ("rm", "localhost/web"),
        ):
            refused = native("image", *words)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert f"is locked by process {agent.pid}" in refused.stderr
            assert "declare the image in the agent's source (kind: Image), or stop the agent" in refused.stderr
        assert _listed(native) == {"localhost/web:latest": "Image/web"}


def test_images__by_hand__outlive_the_manifests_and_the_agents_start(native, quickstart_image) -> None:
    folder = _declared(native, quickstart_image)
    (folder / "network.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: lan}\nspec: {driver: bridge}\n"
    )
    assert native("apply", folder).returncode == 0
    _done(native("image", "tag", "localhost/web", "one:1"))
    assert _listed(native) == {ONE: None, "localhost/web:latest": "Image/web"}
    (folder / "image.yaml").unlink()
    assert native("apply", folder).returncode == 0
    assert _listed(native) == {ONE: None}
    assert native("plan", folder).stdout == "Nothing to change.\n"
    with native.running(folder) as agent:
        agent.assert_ready()
    _done(native("image", "save", "one:1", "--to", native.home / "saved.tar"))


def test_save__fails__leaves_the_file_as_it_was(native) -> None:
    target = native.home / "saved.tar"
    target.write_bytes(b"what was there")
    failed = native("image", "save", "nothing:1", "--to", target)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "image docker.io/library/nothing:1 is not in the store" in failed.stderr
    assert (target.read_bytes(), list(native.home.glob(".saved*"))) == (b"what was there", [])


def test_save__to_stdout__is_the_archive(native, quickstart_image) -> None:
    _done(native("image", "load", quickstart_image, "--as", "one:1"))
    words = native.command("image", "save", "one:1")
    data = subprocess.run(words, env=native.environment, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames()[:3] == ["oci-layout", "index.json", "manifest.json"]


def test_save__to_a_terminal__is_refused(trimtab) -> None:
    ours, theirs = pty.openpty()
    try:
        failed = subprocess.run(
            trimtab.command("image", "save", "one:1"),
            env=trimtab.environment,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (failed.returncode, failed.stderr.splitlines()[0]) == (1, "error: an archive is nothing for a terminal")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("push", "Bad Name"), 64, "is no name of a repository"),
        (("tag", "one:1", "x:1@sha256:1"), 64, "is no digest"),
        (("import", "x", "one:1", "--change", "RUN x"), 64, "is none of CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR"),
        (("load", "x"), 1, "the memory runtime simulates: its images have no content"),
        (("push", "one:1"), 1, "the memory runtime simulates: its images have no content"),
        (("rm", "one:1"), 1, "image docker.io/library/one:1 is not in the store"),
    ],
)
def test_images__what_cannot_be__is_told(trimtab, words: tuple[str, ...], code: int, message: str) -> None:
    failed = trimtab("image", *words)
    assert (failed.returncode, failed.stdout) == (code, "")
    assert message in failed.stderr
