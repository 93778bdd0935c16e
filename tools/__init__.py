"""Small programs for contributors, run by the Makefile."""
