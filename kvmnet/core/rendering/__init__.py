"""What a host gets as files: nmstate states, .link files, the hook's record, NetworkManager's configuration.

In: a `HostView`. Out: a `Bundle`, and its files as text.
"""
