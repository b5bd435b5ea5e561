"""Other open-source products at Plaza's job, with the same file: `make bench-peers`."""
