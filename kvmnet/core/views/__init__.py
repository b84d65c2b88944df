"""What each host gets: names, bridges, MTUs, addresses, routes, and the bridges or macvtaps of its guests.

In: a `Cluster`. Out: a `HostView` for each host.
"""
