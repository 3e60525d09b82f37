"""The command line. Floor 7: composes rooms through ``app``; results to stdout, diagnostics to stderr.

One module a command or a small group of them. Exit codes: 0 done (``plan``: nothing to change), 2 (``plan``: changes
pending), 1 failed, 64 used wrongly. Heavy modules are imported inside of the commands that need them, so that
``--help``, ``explain`` and shell completion answer at once.
"""
