"""Shortest paths (section 4.4): scores, curves, extrapolation, differences (Figure 5)."""
