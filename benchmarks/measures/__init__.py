"""What is measured: one module for each part, listed in parts.py."""
