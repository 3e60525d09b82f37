"""The agent's own door: a JSON API on a unix socket, by which commands ask the agent that runs. Floor 6.

``server`` serves ``routes``, ``client`` asks. ``status``, ``past``, ``descriptions``, ``planning``, ``reconciliation``,
``restart``, ``suspension`` are pure: what is answered, and its JSON; so are ``names``, ``location``, ``declared``.
``openapi`` and ``schemas`` say the same for programs. ``live`` gathers the status in the running agent, out of
``converge.signals`` and the agent's journal; ``objects``, ``records``, ``preview`` and ``host`` serve who looks
without an agent. Nothing here changes anything but by the loop. Values of environments and secrets never get here;
values of other fields get to root alone, in plans. ``client`` and the pure ones import no room but ``model``: the
command that asks is quick.
"""
