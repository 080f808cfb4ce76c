"""The api-versions that this client speaks, in one place, as query parameters."""

from __future__ import annotations

CLASSIC = {"api-version": "2019-11-01"}
"""Workspaces and computes, as the classic REST specification has them."""
ASSETS = {"api-version": "2023-10-01"}
"""Models, environments, code, online endpoints and their deployments (v2)."""
HISTORY = {"api-version": "v1.0"}
"""The regional run history; not a date."""
