"""Floor 5, the command line: arguments in, tables or JSON out. Decides nothing and keeps nothing."""
