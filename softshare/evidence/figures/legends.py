"""How to read a figure, by its kind: what stands below it in the report and in Snakemake's."""

from __future__ import annotations

LEGENDS = {
    "similarity": "White = 1, black = 0; above each panel the mean off its diagonal. A value near 1 means something "
    "only against the chance level beside it. In numbers, of the coefficients: mean and largest similarity of two "
    "layers of a group, both as a random start has them on average, pairs of layers close to 1, and layers left where "
    "those alike are tied.",
    "folding": "Drawn: the first run that was folded. Left its shared layers unrolled, then their similarity, right "
    "the layers that are left, ways back in colour in the order in which they are taken (own: a layer of the stage "
    "that is not shared; at width 1 a network has a layer less than its name tells, for its first stage needs no "
    "shortcut). p: McNemar's, on the same images. Statistics anew: the error after the statistics of batch norm are "
    "estimated anew on training images.",
    "paths": "On top mean F1 over seeds, the band one standard deviation, as far as F1 reaches; where F1 is high "
    "on average once more from 0.9 on, and what falls below leaves that panel. Then F1 at the end of each "
    "phase on all phases, of which those right of the diagonal were not trained; where three seeds or "
    "more pair, what one network has there above another (blue) or below it (red), without intervals, "
    "judged by nobody. At the foot an example of each phase, of the test set's first four the one whose "
    "queries lie farthest apart, and what the networks of one seed predict for it at the end (the "
    "lighter, the more probable; queries blue and obstacles red are drawn over it, points on a shortest "
    "path are white).",
    "path-statistics": "Mean loss over seeds, the band from the least to the largest: dotted in training, mean over an "
    "epoch's steps, each batch by its own statistics; on the phase's test set after the epoch, dashed by the running "
    "statistics of batch norm that training leaves, solid by statistics estimated anew on training examples, with the "
    "same weights.",
    "parameters": "Means over seeds, of three or more with their 95 % t intervals. At the paper's scale its own "
    "numbers stand beside, hollow.",
}
