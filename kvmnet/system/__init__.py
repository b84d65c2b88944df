"""Reads and changes this host: programs, files, links, NetworkManager, firewalld, the journal, the lock.

Uses the standard library only and no other part of kvmnet, because the rescue program consists of this package and
kvmnet/rescue. Input: names, paths and records. Output: plain data, or the change on the host. Raises HostError when a
program or a file operation fails.
"""
