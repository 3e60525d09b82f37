"""Programs between the engine and a container: the OCI runtime that creates it, and conmon, its monitor.

Both are driven by their documented command lines. conmon is the container's parent: it keeps its
logs and its exit code while the agent is away.
"""
