"""What ``doctor`` looks at: what the chosen runtime needs of this host."""

from agent import app, errors, settings, trust
from agent.engine import doctor, layout


async def examine(chosen: settings.Settings) -> list[doctor.Check]:
    """Look at what the chosen runtime needs, and return what was seen."""
    where = layout.Layout(chosen.root, chosen.run)
    if chosen.runtime == "native":
        checks = await doctor.examine(where)
    else:
        checks = [*doctor.examine_root(where), await _runtime_check(chosen)]
    return [*checks, doctor.Check("admission", ok=True, required=False, detail=trust.summary(chosen))]


async def _runtime_check(chosen: settings.Settings) -> doctor.Check:
    """Connect with an engine, as the agent would."""
    name = f"{chosen.runtime} runtime"
    try:
        async with app.open_runtime(chosen, exclusive=False):
            return doctor.Check(name, ok=True, required=True, detail="answers")
    except errors.TrimtabError as error:
        return doctor.Check(name, ok=False, required=True, detail=error.message, fix=error.hint)
