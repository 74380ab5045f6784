"""EMQX's questions and events over HTTP, as plain ASGI callables (emqx-contract sections 1, 2 and 4)."""
