"""The embedded OCI container engine. Floor 3: knows neither ``model`` nor ``runtime``, and could ship alone.

It runs OCI images by namespaces, cgroups, overlayfs and networks through an OCI runtime and conmon. All of its state
is in ``records`` (SQLite) and in files under its root; whatever is on the host without a record is a left-over and is
removed by ``recover``. Failures are the kinds of ``agent.errors``.
"""
