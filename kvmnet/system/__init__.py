"""Reads and changes this host: programs, files, links, NetworkManager, firewalld, the journal, the lock.

Standard library only, no other part of kvmnet: the rescue program consists of this package and kvmnet/rescue. Comes in:
names, paths, records. Goes out: plain data, or the change on the host; HostError when a program or file fails.
"""
