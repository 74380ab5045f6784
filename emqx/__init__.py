"""What the broker is told: its rules, its configuration, its REST API, and a laptop broker like it.

Imports nothing of ours (design, "The house").
"""
