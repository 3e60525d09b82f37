"""Reading what is: one consistent snapshot, the periodic relist under the events, and the probes. Floor 4."""
