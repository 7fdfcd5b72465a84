"""Figures: how all are laid out and written, and error against parameters (Figure 3)."""
