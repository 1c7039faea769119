"""Pictures of a run, one module each: learning curves, confusion matrix, sample predictions.

Nothing is imported here: the modules that draw import matplotlib, the colours alone don't.
"""
