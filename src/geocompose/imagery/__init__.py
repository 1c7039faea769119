"""What an image is: bands, sensors, units, dates and positions, and whether data and weights agree; free of torch."""
