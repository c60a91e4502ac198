"""Candidate + weights → files that others can use."""
