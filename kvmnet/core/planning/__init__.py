"""What differs between a bundle and a host.

In: a `Bundle` and a `Live`. Out: a `Plan`: the smallest nmstate state to apply, the renames in order, the files to
write, what is removed, and what must be read back afterwards. All of it is data; `core/reporting` words it.
"""
