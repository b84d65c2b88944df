"""The parts of the exporter `keyfiles`: a host's interfaces as sections of NetworkManager's keyfiles."""
