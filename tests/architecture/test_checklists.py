"""The checklists in ``ops/docs`` of how a kind, an action and a field are added, walked on a copy of the code.

What is added touches what a list names and nothing else: the copy understands, plans, makes and describes it then.
"""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
MODEL = '''
from agent.kit import frozen
from agent.model.key import Pairs


@frozen.value
class GadgetConfig:
    """A gadget as it is desired."""

    name: str
    labels: Pairs
    size: int


@frozen.value
class ObservedGadget:
    """A gadget as the runtime has it."""

    name: str
    config: GadgetConfig
    labels: Pairs
'''
MANIFEST = '''
from typing import Literal

from pydantic import Field

from agent.manifests.v1 import base
from agent.manifests.v1.base import Model


class GadgetSpec(Model):
    """The gadget's configuration."""

    size: int = Field(default=1, description="Its size.")


class Gadget(Model):
    """A gadget."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Gadget"] = Field(description="Gadget.")
    metadata: base.Metadata = Field(description="Name, labels, annotations.")
    spec: GadgetSpec = Field(default_factory=GadgetSpec, description="The gadget's configuration.")
'''
LOWERING = """
from agent.model import gadget
from agent.model.key import pairs


def lower(_, declared, sketch) -> None:
    labels = pairs(declared.metadata.labels)
    sketch.others.append(gadget.GadgetConfig(declared.metadata.name, labels, declared.spec.size))
"""
PLANNER = """
from agent.model import gadget
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, draft, ground, match, plan


def write(world: match.World, sketch: draft.Draft, steps: ground.Ground, desired: gadget.GadgetConfig) -> None:
    key = ObjectKey(Kind.GADGET, desired.name)
    observed = {item.name: item for item in world.observed.objects[Kind.GADGET]}.get(desired.name)
    if observed is not None and observed.config == desired:
        sketch.buckets[key] = plan.Bucket.MATCHING
    else:
        cause = ground.missing(world, sketch, key, desired)
        steps.ready[key] = sketch.add(actions.CreateGadget(key, cause, desired))


def leave(world: match.World, sketch: draft.Draft, steps: ground.Ground) -> None:
    declared = {config.name for config in world.desired.objects[Kind.GADGET]}
    for observed in world.observed.objects[Kind.GADGET]:
        key = world.key_of(observed.labels)
        if key is not None and key.name not in declared:
            ground.leave(world, sketch, steps, actions.RemoveGadget(key, ground.ORPHANED, key.name))
"""
ACTIONS = '''
@frozen.value
class CreateGadget:
    """Make a gadget."""

    TRAITS: ClassVar = Traits(Phase.CREATE_VOLUME, Effect.CREATE, "creating", "created")
    key: ObjectKey
    cause: Cause
    config: gadget.GadgetConfig


@frozen.value
class RemoveGadget:
    """Remove a gadget."""

    TRAITS: ClassVar = Traits(Phase.REMOVE_VOLUME, Effect.REMOVE, "removing", "removed", ends_without_object=True)
    key: ObjectKey
    cause: Cause
    name: str


Action = (
    CreateGadget
    | RemoveGadget
    | EnsureImage
'''
ROLE = '''
class Gadgets:
    """The gadgets in RAM."""

    def __init__(self):
        self.by_name = {}

    async def list(self):
        return tuple(self.by_name.values())

    async def create(self, config, labels):
        self.by_name[config.name] = gadget.ObservedGadget(config.name, config, labels)

    async def remove(self, name):
        del self.by_name[name]


'''
Edit = tuple[str, str, str]
"""(file below ``agent/``, what stands there, what stands there afterwards)."""
KIND: tuple[Edit, ...] = (  # add-a-kind.md, step by step
    ("model/key.py", '    SECRET = "Secret"', '    GADGET = "Gadget"\n    SECRET = "Secret"'),
    ("model/key.py", "Kind.NETWORK, Kind.VOLUME)", "Kind.NETWORK, Kind.VOLUME, Kind.GADGET)"),
    ("manifests/registry.py", "import container, image", "import container, gadget, image"),
    ("manifests/registry.py", "Object = container.Container", "Object = gadget.Gadget | container.Container"),
    ("manifests/registry.py", '    "Image": image.Image,', '    "Gadget": gadget.Gadget,\n    "Image": image.Image,'),
    ("manifests/lower.py", "import containers, draft, images", "import containers, draft, gadgets, images"),
    ("manifests/lower.py", "    Kind.IMAGE:", "    Kind.GADGET: gadgets.lower,\n    Kind.IMAGE:"),
    ("model/kinds.py", "import container, image", "import container, gadget, image"),
    ("model/kinds.py", "Config = container", "Config = gadget.GadgetConfig | container"),
    ("model/kinds.py", "Observed = container", "Observed = gadget.ObservedGadget | container"),
    (
        "model/kinds.py",
        "        KindTraits(Kind.CONTAINER,",
        (
            '        KindTraits(Kind.GADGET, "gadgets", gadget.GadgetConfig, gadget.ObservedGadget, "name"),\n'
            "        KindTraits(Kind.CONTAINER,"
        ),
    ),
    ("plan/stores.py", "import draft, ground", "import draft, gadgets, ground"),
    (
        "plan/stores.py",
        "    Kind.IMAGE: Planner(",
        "    Kind.GADGET: Planner(gadgets.write, gadgets.leave),\n    Kind.IMAGE: Planner(",
    ),
    ("runtime/stores.py", "    Kind.IMAGE:", "    Kind.GADGET: lambda runtime: runtime.gadgets,\n    Kind.IMAGE:"),
    ("drivers/memory/driver.py", "from agent.model import", "from agent.model import gadget, "),
    ("drivers/memory/driver.py", "@frozen.value", f"{ROLE}@frozen.value"),
    (
        "drivers/memory/driver.py",
        "    volumes: stores.Volumes\n",
        "    volumes: stores.Volumes\n    gadgets: Gadgets\n",
    ),
    ("drivers/memory/driver.py", "        disk=stores", "        gadgets=Gadgets(),\n        disk=stores"),
    ("agent_api/declared.py", "from agent.model import", "from agent.model import gadget, "),
    (
        "agent_api/declared.py",
        "        case volume.VolumeConfig():",
        (
            '        case gadget.GadgetConfig():\n            yield "size", (str(config.size),)\n'
            "        case volume.VolumeConfig():"
        ),
    ),
)
ACTION: tuple[Edit, ...] = (  # add-an-action.md
    ("plan/actions.py", "from agent.model import", "from agent.model import gadget, "),
    ("plan/actions.py", "\nAction = (\n    EnsureImage\n", ACTIONS),
    (
        "converge/perform.py",
        "            case actions.RemoveImage():",
        (
            "            case actions.CreateGadget():\n"
            "                await self.runtime.gadgets.create(action.config, self._labels(action.config))\n"
            "            case actions.RemoveGadget():\n"
            "                await self.runtime.gadgets.remove(action.name)\n"
            "            case actions.RemoveImage():"
        ),
    ),
)
FIELD: tuple[Edit, ...] = (  # add-a-field.md, for a runtime whose containers are Python values
    (
        "model/container.py",
        "    @property\n    def supervision",
        (
            '    note: str = dataclasses.field(default="", metadata={"trimtab.absent": ""})\n\n'
            "    @property\n    def supervision"
        ),
    ),
    (
        "manifests/v1/container.py",
        "    hostname: texts.HostName =",
        '    note: str = Field(default="", description="A note.")\n    hostname: texts.HostName =',
    ),
    (
        "manifests/lowering/containers.py",
        "        hostname=spec.hostname",
        "        note=spec.note,\n        hostname=spec.hostname",
    ),
    (
        "plan/diff.py",
        '    "depends_on": Change.RECORD,',
        '    "depends_on": Change.RECORD,\n    "note": Change.REPLACE,',
    ),
)
WALK = """
import asyncio
import pathlib
import sys

import agent
from agent.agent_api import declared
from agent.converge import goal, perform
from agent.drivers.memory import driver
from agent.kit import canonical, clock
from agent.manifests import pipeline
from agent.model import kinds, policy, state
from agent.drivers.memory import world
from agent.observe import snapshot
from agent.plan import planner, render

assert agent.__file__.startswith(sys.argv[1]), agent.__file__


def desired(text):
    parsed = pipeline.parse([pipeline.ManifestFile("all.yaml", "/", text.encode())], pipeline.ParseOptions())
    assert parsed.problems == (), parsed.problems
    return pipeline.lower(parsed, "r1", {})


async def main():
    runtime = driver.runtime_in(world.World(clock.SystemClock()))
    observer = snapshot.Observer(runtime, lambda: (), clock.SystemClock())
    rules = policy.PlanPolicy("me", in_place=runtime.features.in_place)
    for text in pathlib.Path(sys.argv[2]).read_text().split("=====\\n"):
        wish = desired(text)
        assert canonical.loads(state.DesiredState, canonical.dumps(wish)) == wish
        assert b"gadgets" not in canonical.dumps(state.DesiredState("none"))  # an earlier release reads it
        for config in wish:
            print("described", state.key_of(config), *declared.summary(wish, state.key_of(config)) or ())
        computed = planner.compute_plan(wish, await observer.observe(()), rules)
        print(render.text(computed))
        for step in computed.steps:
            await perform.Performer(runtime, "me", lambda _: None).perform(step.action)
        again = planner.compute_plan(wish, await observer.observe(()), rules)
        assert again.steps == (), render.text(again)
    observed = await observer.observe(())
    assert goal.owned(observed, "me") == frozenset(), observed


asyncio.run(main())
"""
HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: one}}\n"


def _copy(folder: pathlib.Path, edits: tuple[Edit, ...], files: dict[str, str]) -> pathlib.Path:
    """Copy the code, and change the copy."""
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files.items():
        (folder / "agent" / name).write_text(f'"""Added."""\n{text}')
    for name, before, after in edits:
        path = folder / "agent" / name
        text = path.read_text()
        assert before in text, f"{name} has no {before!r} any more: correct the checklist and this test"
        path.write_text(text.replace(before, after, 1))
    return folder


def _walked(folder: pathlib.Path, manifests: str) -> str:
    """Plan and bring about one revision after the other, and return what was printed."""
    (folder / "walk.py").write_text(WALK)
    (folder / "manifests").write_text(manifests)
    completed = subprocess.run(
        [sys.executable, "-P", folder / "walk.py", folder, folder / "manifests"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_kind_and_actions__by_their_checklists__are_planned_made_described_and_removed(tmp_path: pathlib.Path) -> None:
    files = {
        "model/gadget.py": MODEL,
        "manifests/v1/gadget.py": MANIFEST,
        "manifests/lowering/gadgets.py": LOWERING,
        "plan/gadgets.py": PLANNER,
    }
    folder = _copy(tmp_path, (*KIND, *ACTION), files)
    gadget = HEAD.format(kind="Gadget")
    printed = _walked(folder, f"{gadget}spec: {{size: 3}}\n=====\n{HEAD.format(kind='Network')}=====\n")
    assert "described Gadget/one ('size', ('3',))" in printed
    assert "+ Gadget/one is created" in printed
    assert "- Gadget/one is removed" in printed


def test_field__by_its_checklist__is_declared_compared_and_kept(tmp_path: pathlib.Path) -> None:
    folder = _copy(tmp_path, FIELD, {})
    container = f"{HEAD.format(kind='Container')}spec: {{image: app"
    printed = _walked(folder, f"{container}}}\n=====\n{container}, note: other}}\n=====\n")
    assert "+ Container/one is created" in printed
    assert "note: - -> other (forces replacement)" in printed
