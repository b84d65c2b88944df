"""Tests of the Ansible collection with real Ansible and real ssh servers on loopback: `make collection-test`."""
