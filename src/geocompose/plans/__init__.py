"""How necks are planned: which features become which levels, in which layout and width, and what a decoder refuses."""
