"""Texts for the user: plans, effects on guests, probes, and the events of a transaction; and plans saved as files.

In: plans, effects and events. Out: text, Markdown and JSON.
"""
