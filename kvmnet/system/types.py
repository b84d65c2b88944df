"""Types that kvmnet/system and kvmnet/rescue share."""

from __future__ import annotations

from typing import Any

#: An object of JSON.
Json = dict[str, Any]
