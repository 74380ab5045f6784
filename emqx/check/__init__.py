"""What a running broker is like, and in what it differs from what MChat needs."""
