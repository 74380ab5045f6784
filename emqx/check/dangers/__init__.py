"""What can be wrong with a broker, a module for each part of it: pure functions from a case to findings."""
