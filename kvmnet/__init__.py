"""kvmnet: the network of Linux KVM hosts, from one definition to each host's kernel."""

__version__ = "0.1.0"
