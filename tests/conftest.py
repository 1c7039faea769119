"""Settings that must stand before torch is imported."""

import os

# Workers of the test run share the cores; more threads than cores make every test many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
