"""What is rendered as manifests means what it was rendered from, and is rendered again as it is."""

import dataclasses
from typing import Any

import hypothesis
from hypothesis import strategies as st

from agent.manifests import pipeline, write
from agent.model import container, health, image, state
from agent.model.key import Kind
from tests import builders
from tests.property import drawn
from tests.unit.manifests import test_write as writing

DIGEST = "@sha256:" + "a" * 64


def lowered(text: str) -> state.DesiredState:
    """Return the desired state of a file."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/", text.encode())])
    assert parsed.problems == ()
    return pipeline.lower(parsed, "r1", {})


def assert_rendered(desired: state.DesiredState) -> None:
    """Render a state, read it back, and render it again."""
    text = write.text(write.documents(desired))
    read = lowered(text)
    assert read == desired
    assert write.text(write.documents(read)) == text


def probed_where_it_can_be(config: container.ContainerConfig) -> container.ContainerConfig:
    """Return a config that admission lets pass: what is in no network is not probed by network."""
    if config.networks or config.health.readiness is None:
        return config
    probe = dataclasses.replace(config.health.readiness, action=health.ExecProbe(("true",)))
    return dataclasses.replace(config, health=health.HealthConfig(None, probe, None))


def builds() -> st.SearchStrategy[image.BuildSource]:
    """Return sources of images that are built; where the text is inline, the file is the context's own."""
    pairs = st.sampled_from([(), (("A", ""), ("B", "1 # 2"))])
    fields = {
        "context": st.just("/srv/app"),
        "stamp": st.just(""),
        "target": st.sampled_from(["", "web"]),
        "platform": st.sampled_from(["", "linux/arm64"]),
        "args": pairs,
        "labels": pairs,
        "network": st.sampled_from(image.BuildNetwork),
        "pulls": st.booleans(),
        "cache_from": st.sampled_from([(), ("registry.example/a:c", "type=registry,ref=b:1")]),
        "cache_to": st.sampled_from([(), ("type=registry,ref=registry.example/a:c,mode=max",)]),
    }
    text = {"dockerfile": st.just("/srv/app/Dockerfile"), "inline": st.sampled_from(["FROM a\nRUN b\n", "FROM a"])}
    file = {"dockerfile": st.sampled_from(["/srv/app/Dockerfile", "/srv/app/x/Web", "/etc/D"]), "inline": st.just("")}
    return st.one_of(st.builds(image.BuildSource, **fields, **text), st.builds(image.BuildSource, **fields, **file))


@st.composite
def images(draw: Any, name: str) -> tuple[image.ImageConfig, image.UpdatePolicy | None]:
    """Return an image with a manifest of its own, and how it follows its registry."""
    if draw(st.booleans()):
        return image.ImageConfig(name, f"localhost/{name}:latest", draw(builds())), None
    if draw(st.booleans()):
        source = image.ArchiveSource(draw(st.sampled_from(["/srv/app.tar", "/srv/a b.tar"])), "")
        return image.ImageConfig(name, f"localhost/{name}:latest", source), None
    platform = draw(st.sampled_from(["", "linux/arm64"]))
    if draw(st.booleans()):
        return image.ImageConfig(name, f"docker.io/library/{name}{DIGEST}", image.PullSource(platform)), None
    config = image.ImageConfig(name, f"docker.io/library/{name}:1", image.PullSource(platform))
    kind = draw(st.sampled_from(["none", "always", "never", "update"]))
    if kind == "update":
        policy, track, interval = draw(
            st.tuples(
                st.sampled_from([image.PullPolicy.IF_NOT_PRESENT, image.PullPolicy.ALWAYS]),
                st.sampled_from(["", "^1.2", ">=1.2 <2"]),
                st.sampled_from([1.0, 300.0, 90.5]),
            )
        )
        return config, image.UpdatePolicy(name, config.reference, policy, track, interval)
    policies = {"always": image.PullPolicy.ALWAYS, "never": image.PullPolicy.NEVER}
    return config, image.UpdatePolicy(name, config.reference, policies[kind]) if kind in policies else None


@hypothesis.given(desired=drawn.desired_states(most=1))
def test_render__of_any_state__lowers_to_it_and_is_rendered_the_same(desired: state.DesiredState) -> None:
    containers = tuple(map(probed_where_it_can_be, desired.containers))
    assert_rendered(desired.with_objects({Kind.CONTAINER: containers}))


@hypothesis.given(fields=st.fixed_dictionaries({}, optional=writing.FIELDS))
def test_render__of_any_container__lowers_to_it_with_what_it_needs(fields: dict[str, Any]) -> None:
    config = builders.config(networks=(container.NetworkAttachment("bridge"),), **fields)
    needed = lowered(write.text([write.container_manifest(builders.config())]))
    bridge = lowered(write.text([write.container_manifest(config)])).networks
    assert_rendered(needed.with_objects({Kind.CONTAINER: (config,), Kind.NETWORK: bridge}))


@hypothesis.given(drawn_images=st.tuples(images("app"), images("db")), is_used=st.booleans())
def test_render__of_any_images__lowers_to_them_and_how_they_follow(
    drawn_images: tuple[tuple[image.ImageConfig, image.UpdatePolicy | None], ...], is_used: bool
) -> None:
    configs = tuple(config for config, _ in drawn_images)
    containers = (builders.config(image=configs[0].reference),) if is_used else ()
    follows = tuple(follow for _, follow in drawn_images if follow is not None)
    assert_rendered(state.DesiredState.of("r1", (*containers, *configs), follows))
