"""The steps, oldest first; each stands as it was shipped, whatever the tables have become since."""
