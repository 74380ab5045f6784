"""What a broker that asks MChat looks like, as values: for `apply`, for `check`, and for configuration by file."""
