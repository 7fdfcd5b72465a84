"""Images: read, checked, augmented and given in batches."""
