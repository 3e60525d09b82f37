"""Reading the observed state: one snapshot of the runtime, the periodic relist, registries and probes. Floor 4.

``probes`` schedules checks, ``checks`` asks one container once (over ``http_check`` and ``connections``), and
``thresholds`` counts the answers, purely. ``image_updates`` asks registries for the latest images. Nothing in here
changes anything.
"""
