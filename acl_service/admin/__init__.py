"""The admin API: its own listener, its route table, health and metrics."""
