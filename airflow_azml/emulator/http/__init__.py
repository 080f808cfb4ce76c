"""The wire format that all resources share: reading requests, paging, filters, errors."""
