"""The registry by both generations of the API: model management (v1) and Resource Manager (v2)."""
