"""The readers that are tried, a module each with a `READER`."""
