"""Other people's configuration into imd's files. From text to texts: the command line reads and writes the files."""
