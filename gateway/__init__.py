"""What clients ask: actions over MQTT, on the shared database. Empty so far: a later issue fills it."""
