"""The api-versions that this client speaks, in one place, as query parameters."""

from __future__ import annotations

CLASSIC = {"api-version": "2019-11-01"}
"""Workspaces and computes, as the classic REST specification has them."""
ASSETS = {"api-version": "2023-10-01"}
"""Models, environments, code, online endpoints and their deployments (v2)."""
SUBSCRIPTIONS = {"api-version": "2022-12-01"}
"""Subscriptions."""
RESOURCES = {"api-version": "2021-04-01"}
"""Resource groups."""
INSTANCES = {"api-version": "2021-07-01"}
"""Compute instances, which 2019-11-01 does not have, and whatever computes are read that may be some."""
HISTORY = {"api-version": "v1.0"}
"""The regional run history; not a date."""
