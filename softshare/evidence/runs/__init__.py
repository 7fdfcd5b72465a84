"""The runs that are there: where each stands, whether it is usable, and the cells of the paper that they fill."""
