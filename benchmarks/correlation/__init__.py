"""How well the rules group alerts: simulated outages through `imd replay`, scored against what was broken."""
