"""Other libraries' names and tables, which parts are there, and which are installed; free of torch."""
