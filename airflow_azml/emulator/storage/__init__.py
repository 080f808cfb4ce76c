"""The storage account: blobs, and what is kept in them (artifacts, snapshots); datastores."""
