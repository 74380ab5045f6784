"""The Python client of MChat's actions; imports nothing of ours. Empty so far: a later issue fills it."""
