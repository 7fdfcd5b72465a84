"""Tables of the paper, filled with what was run."""
