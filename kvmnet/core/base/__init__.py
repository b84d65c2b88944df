"""Shared by all of the core: problems with their places and codes, errors, probes, nmstate's vocabulary.

Comes in: nothing. Goes out: small frozen dataclasses and constants. Imports nothing else of kvmnet.
"""
