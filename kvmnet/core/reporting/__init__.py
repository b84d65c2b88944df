"""Wording: plans, impacts and events of a transaction as text, markdown and JSON; a saved plan.

Comes in: plans and events. Goes out: text.
"""
