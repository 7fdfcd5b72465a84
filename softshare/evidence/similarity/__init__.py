"""Layer similarity matrices: read back, drawn, told in numbers (Figures 7 and 8)."""
