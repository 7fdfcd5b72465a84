"""What `softshare fold` left: read back, held against its run, drawn (Figures 2, 4 and 6)."""
