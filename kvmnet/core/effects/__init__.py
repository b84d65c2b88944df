"""What a plan does to others: running guests, the path to the operator, probe targets, the next boot.

In: a `Plan` and a `Live`. Out: impacts, probes, notes. As with checks and refusals, a reason is worded where it is
found.
"""
