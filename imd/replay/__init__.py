"""Floor 2: the engine in virtual time, over recorded history. No socket, no store, no clock."""
