"""Floor 1, the decisions: pure and synchronous. No clock, socket, file, await, log or metric in here."""
