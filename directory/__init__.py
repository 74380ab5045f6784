"""Who exists: people, departments, groups, credentials, sessions, rules, audit, outbox.

The shared database and nothing else; imports nothing of ours (design, "The house").
"""
