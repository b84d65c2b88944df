"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

#: Several test runs may share a machine: how long an example takes depends on the others.
settings.register_profile("kvmnet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kvmnet")
