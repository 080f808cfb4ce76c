"""Whether the emulator is ready to serve."""

from __future__ import annotations

from airflow_azml.emulator.http.wire import router

routes = router()


@routes.get("/health")
def health() -> dict[str, str]:
    """Answer 200 as soon as requests are served."""
    return {"status": "healthy"}
