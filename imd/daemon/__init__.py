"""Floor 4, the shell: the loop around the engine, the outbox, and what wires them. Decides nothing."""
