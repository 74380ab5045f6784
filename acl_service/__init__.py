"""What the broker asks: hooks, identity, policy, presence, enforcement and the admin API."""
