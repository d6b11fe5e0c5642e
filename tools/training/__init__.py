"""Corpora and trainers of the shipped models."""
