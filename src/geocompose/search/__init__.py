"""Searches: which runs of a study are computed next, by the validation scores of those before."""
