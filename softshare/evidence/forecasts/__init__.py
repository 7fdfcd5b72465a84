"""Forecasts: read back, and held against the runs made after them."""
