"""The loop: snapshot, plan, execute, report. Floor 5: sees only the ``Runtime`` Protocol, never a driver.

``reconcile`` is its heart. ``execute`` walks a plan and decides nothing, ``perform`` turns one action into one call,
``dispose`` alone decides what follows from an error, ``report`` says how things are. Whoever wants to know what
happens listens to ``signals``; nothing in here logs or counts.
"""
