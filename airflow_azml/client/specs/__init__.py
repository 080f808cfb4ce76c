"""What people write, as a dict or a file, checked and turned into what the service takes."""
