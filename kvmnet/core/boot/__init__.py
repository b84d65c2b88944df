"""The next boot: which connection profile NetworkManager will activate on each interface, computed from files.

In: the files on the host's disk as plain data. Out: a `BootOutcome` for each interface. The rules are NetworkManager's
own (its sources are named beside each rule); tests/lab/test_boot_outcomes.py compares them with what NetworkManager
does. What cannot be known before the boot is reported as uncertain.
"""
