"""What scores can tell: intervals, comparisons of many cells, and what explains their differences. NumPy alone."""
