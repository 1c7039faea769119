"""Pictures of a run, one module each: learning curves, how classes and numbers are met, and samples.

Nothing is imported here: the modules that draw import matplotlib, the colours alone don't.
"""
