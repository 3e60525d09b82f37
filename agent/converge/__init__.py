"""The loop: snapshot, plan, execute, report. Floor 5: sees only the ``Runtime`` Protocol, never a driver."""
