"""From the view of a host to its bundle: the nmstate state, the guests' state, the `.link` files and the index.

Comes in: a `HostView`. Goes out: a `Bundle`, its files as text; and back from these files to the bundle.
"""
