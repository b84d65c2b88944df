"""What of a bundle a host does not have yet.

Comes in: a `Bundle` and a `Live`. Goes out: a `Plan`: the smallest nmstate state that must be sent, the renames in
order, the files, what is removed, and what must be read back afterwards.
"""
