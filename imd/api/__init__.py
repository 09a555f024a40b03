"""Floor 3, HTTP in: requests to events, records to answers. Gets `submit` handed to it and never sees the daemon."""
