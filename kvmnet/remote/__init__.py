"""One host over ssh: a change is started there, and confirmed over a connection that was opened after it.

`decisions`, `command_lines` and `archive` are pure: events in, the next step out; a target in, command lines out.
`connection` runs ssh, `remote_change` is the loop over both. Nothing here reads or changes the network of this machine.
"""
