"""Plans that are kept in files: made for a SOURCE, and brought about where everything is still as it was."""

import dataclasses
import secrets
import time
from collections.abc import Sequence

import agent
from agent import app, errors, host_key, settings, trust
from agent.converge import once, reconcile, signals
from agent.kit import frozen
from agent.model import state
from agent.plan import plan, saved

_SALT = 16
"""Bytes."""


class PlanOutdated(errors.TrimtabError):
    """Something has changed since a plan was made."""

    def __init__(self, changes: Sequence[str]) -> None:
        """Take what has changed, a sentence each."""
        super().__init__(
            f"not everything is as it was when the plan was made, so that nothing was done: {'; '.join(changes)}",
            hint="look at a new one, trimtab plan SOURCE -o FILE, and apply that",
        )
        self.changes = tuple(changes)


@frozen.value
class MadePlan:
    """A plan, what is kept of it, and what is declared."""

    kept: saved.SavedPlan
    computed: plan.Plan
    desired: state.DesiredState


async def make(chosen: settings.Settings, text: str) -> MadePlan:
    """Return the plan for a SOURCE. Raises as ``app.read`` and ``app.observe``, and where no key can be made.

    Values of Secrets are compared by a key of this host. Were it made by ``apply``, they would be other ones then.
    """
    has_key = host_key.ensure(chosen)
    desired = (await app.read(chosen, text)).checked()
    if not has_key and any(config.secret_env for config in desired.containers):
        raise errors.TrimtabError(
            f"no plan with values of Secrets can be kept: their key is not in {chosen.root}, and cannot be made there",
            hint="let somebody plan who may write there",
        )
    sight = await app.observe(chosen)
    computed = app.plan_for(desired, sight)
    salt = secrets.token_hex(_SALT)
    return MadePlan(saved.of(_origin(chosen, text), salt, desired, sight.observed, computed), computed, desired)


async def apply(chosen: settings.Settings, kept: saved.SavedPlan, sink: signals.Sink) -> once.Converged:
    """Bring about a plan. Raises as ``app.apply``, and ``PlanOutdated``, changing nothing."""
    text = kept.origin.source
    admitted = trust.policy_for(chosen, text)
    async with app.open_source(chosen, text) as source, app.open_parts(chosen, sink, admitted) as parts:

        async def check(desired: state.DesiredState) -> None:
            observed = dataclasses.replace(await reconcile.look(parts), suspensions=parts.book.suspensions.current)
            sight = app.Sight(app.owner(chosen), parts.runtime.features.in_place, observed)
            computed = app.plan_for(desired, sight)
            changes = saved.differences(kept, saved.of(_origin(chosen, text), kept.salt, desired, observed, computed))
            if changes:
                raise PlanOutdated(changes)

        return await once.apply(parts, source, check=check)


def _origin(chosen: settings.Settings, text: str) -> saved.Origin:
    return saved.Origin(agent.__version__, text, app.owner(chosen), chosen.runtime, time.time())
