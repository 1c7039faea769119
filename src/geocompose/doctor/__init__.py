"""Every backbone with every decoder for every task: which compositions fit together, and what they cost.

Nothing is imported here: what tries a composition imports torch, what chooses and lists them does not.
"""
