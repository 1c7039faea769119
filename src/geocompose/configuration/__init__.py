"""From the command line to a checked configuration, without importing what it names."""
