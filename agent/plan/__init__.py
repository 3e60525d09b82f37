"""(desired, observed, policy) -> Plan. Floor 2, pure: no I/O, no clock, no randomness.

The time is ``ObservedState.observed_at``; "call me again at" is ``Plan.wake_at``. First every object is put into a
bucket (``classify``), then each kind's module turns buckets into actions, then ``order`` makes them a DAG.
"""
