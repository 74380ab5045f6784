"""The same configuration as a file, for brokers that are configured by file."""
