"""What belongs to many runs: the cells of a plan and their table; statistics and reports."""
