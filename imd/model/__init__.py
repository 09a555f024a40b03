"""Floor 0, the words: plain structs and their own invariants. Imports nothing else of imd."""
