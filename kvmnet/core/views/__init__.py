"""What each host gets: names, bridges, MTUs, addresses, routes, the ports of its guests.

Comes in: a `Cluster`. Goes out: a `HostView` for each host.
"""
