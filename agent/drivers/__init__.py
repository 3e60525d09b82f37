"""Implementations of ``runtime.api.Runtime``. Floor 4: drivers do not know each other."""
