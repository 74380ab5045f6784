"""The command: settings wired together, one composition root for each process."""
