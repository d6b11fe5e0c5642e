"""Damaged sound files and random command lines."""
