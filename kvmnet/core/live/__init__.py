"""A host as it is now, as plain data: what kvmnet/host has read.

Comes in: readings of nmstate, the kernel, NetworkManager, firewalld and libvirt. Goes out: frozen dataclasses, and
which host of the definition this is.
"""
