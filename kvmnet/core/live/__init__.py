"""The live host as plain data, as kvmnet/host read it.

In: readings of nmstate, the kernel, NetworkManager, firewalld and libvirt. Out: frozen dataclasses, and which host of
the definition this host is.
"""
