"""Anything that is waited for: looked at, cancelled, explained, shown in studio, whatever its kind."""

from __future__ import annotations
