"""Blobs: what is too large for one upload is refused."""

from __future__ import annotations

import pytest

from airflow_azml.client.files.blobs import MAX_BLOB, files_in, upload
from airflow_azml.client.transport import errors


def test_a_blob_that_is_too_large(client, tmp_path):
    """Said before anything is sent."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MAX_BLOB + 1)
    with pytest.raises(errors.InputError, match="one blob upload takes"):
        upload(client.transport, "https://sa.blob.core.windows.net/x?sig=s", large, operation="upload")
    assert [name for name, _ in files_in(large)] == ["large"]
