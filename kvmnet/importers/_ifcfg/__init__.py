"""The parts of the importer of ifcfg files: `files` reads them, `state` makes an nmstate state of them, which the
importer of states turns into a host."""
