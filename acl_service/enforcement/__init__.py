"""What a change of rights does to the sessions that the broker holds (decision 8)."""
