"""What a change of the definition does to its hosts, before any of them is touched.

In: the bundles of the definition before and after the change. Out: for each host what `kvmnet plan` would report on it
while the old bundle is applied. No host is read: each is derived from its old bundle (`applied_host`).
"""
