"""Training a run: recipe, loop, checkpoint, record. What it leaves is one folder."""
