"""A plan for what this host has read over what it, or another one, has observed."""

import dataclasses

from agent import app, host_key, settings
from agent.kit import permissions
from agent.model import state
from agent.plan import comparison, plan


def plan_for(chosen: settings.Settings, desired: state.DesiredState, sight: app.Sight) -> plan.Plan:
    """Return the plan. Values of Secrets that cannot be compared are taken for unchanged, and it says so."""
    own = host_key.identity(chosen)
    if own and own == sight.secrets_key:
        return app.plan_for(desired, sight)
    comparable, uncompared = comparison.take_for_unchanged(desired, sight.observed, sight.owner)
    reason = _reason(chosen, own)
    messages = tuple((key, f"{names} cannot be compared here, {reason}") for key, names in uncompared)
    return dataclasses.replace(app.plan_for(comparable, sight), uncompared=messages)


def _reason(chosen: settings.Settings, own: str) -> str:
    """Return why values cannot be compared, and what to do."""
    if not own:
        return f"as {host_key.path(chosen)} cannot be read: {permissions.RUN_AS_ROOT}"
    return "as the key is another one than that of the host that was observed: plan on that host, as root"
