"""From run folders on disk to verdicts, tables, figures and a report. Reads files only; needs no torch."""
