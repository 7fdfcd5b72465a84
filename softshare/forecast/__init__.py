"""The bill before the run: what a scale takes on this machine or another, and the evidence that a budget buys.

`workload` tells what a run computes; `counting` counts it; `measuring` times it here, `devices` tells what others do,
and `speed` which of the two it is; `predict` makes a run's figures of them, `schedule` and `makespan` the DAG's;
`power` tells the seeds that a claim needs and `budget` buys them; `reality` has the forecast held against what was run,
and keeps it for that; `describe` tells all of it, `bill` writes it.
"""
