"""What a plan does to others: running guests, the path to the operator, probe targets, the next boot.

Comes in: a `Plan` and a `Live`. Goes out: impacts, probes, notes.
"""
