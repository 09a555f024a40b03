"""Floor 2, from effects to disk. Callers know `contract` and `migrate.open_store`; the rest is one back end's own."""
