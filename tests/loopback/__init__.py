"""Hosts for tests of programs that use ssh: a real sshd on loopback, and a stand-in for kvmnet behind it."""
