"""From the text of a definition to a typed cluster.

Comes in: sources (name and text). Goes out: a `Cluster` (frozen dataclasses) and the problems, each with
its place.
"""
