"""The parts of the importer of NetworkManager's keyfiles: `files` reads them and chooses the profile of each interface,
`addresses` and `settings` convert groups of a profile, `state` makes an nmstate state of them, which the importer of
states turns into a host."""
