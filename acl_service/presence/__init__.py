"""Who is online, from events that come late, twice or never, and from the broker's own list."""
