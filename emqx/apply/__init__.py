"""Brings a broker to what is wanted of it, and takes it away again: in steps that open nothing."""
