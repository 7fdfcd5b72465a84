"""All evidence of a scale from its runs: built, kept, and built anew from what was kept."""
