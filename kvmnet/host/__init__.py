"""Reads and changes the host: nmstate, NetworkManager over D-Bus, links, libvirt and its hook, probes.

In: states, probes and names. Out: the live host as data (kvmnet.core.live), and replies. Nothing here knows a
definition: import-linter allows only kvmnet.core.base, kvmnet.core.live, kvmnet.core.rendering and kvmnet.system.
"""
