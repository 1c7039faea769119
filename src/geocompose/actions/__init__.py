"""What `python run.py action=...` does: one function a module, none of which imports torch before it must."""
