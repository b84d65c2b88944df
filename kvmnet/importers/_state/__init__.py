"""The parts of the importers of one host's network: an nmstate state in, a host of a definition out.

`values` reads YAML and JSON with the lines of its parts, `bonds`, `addresses` and `networks` convert parts of a state,
`convert` puts the host together.
"""
