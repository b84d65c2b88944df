"""Makes a definition of this host, for `kvmnet init --from-host`.

`describe` turns the live host into a draft of a definition, `guests` adds libvirt's domains, `policy` changes the draft
to the naming policy rocks, `append` writes the host into a definition that exists, `live_changes` finds what a plan
would change.
"""
