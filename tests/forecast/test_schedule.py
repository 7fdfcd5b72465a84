"""The simulated schedule: that it is one, and how near it comes to what no schedule can undercut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.forecast.schedule import ScheduledJob, simulate

seconds = st.floats(0.1, 1e5)


@st.composite
def dags(draw):
    jobs = []
    for index in range(draw(st.integers(1, 25))):
        earlier = [job.name for job in jobs]
        needs = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        jobs.append(ScheduledJob(f"job{index}", draw(seconds), draw(st.integers(1, 3)), tuple(needs)))
    return jobs


@given(dags(), st.integers(1, 6))
def test_no_job_starts_before_its_needs_and_no_unit_is_held_twice(jobs, units):
    schedule = simulate(jobs, units)
    by_name = {job.name: job for job in jobs}
    ends = {job.name: schedule.starts[job.name] + job.seconds for job in jobs}
    assert schedule.starts.keys() == by_name.keys()
    for job in jobs:
        assert all(schedule.starts[job.name] >= ends[need] for need in job.needs)
        now = schedule.starts[job.name]
        held = [other for other in jobs if schedule.starts[other.name] <= now < ends[other.name]]
        assert sum(min(other.units, units) for other in held) <= units
    assert schedule.makespan == pytest.approx(max(ends.values()))
    assert schedule.makespan >= schedule.bound * (1 - 1e-9)


@given(st.lists(st.tuples(seconds, st.booleans()), min_size=1, max_size=60), st.integers(1, 8))
def test_graham_bounds_the_makespan(runs, gpus):
    schedule = simulate(train_and_fold(runs), gpus)
    assert schedule.makespan <= (2 - 1 / gpus) * schedule.bound * (1 + 1e-9)


@given(st.lists(st.floats(600, 30_000), min_size=1, max_size=12), st.integers(200, 600), st.sampled_from([8, 16]))
def test_a_scale_comes_within_ten_percent_of_the_bound(lengths, count, gpus):
    """Networks of a few sizes, many runs of each, some of them folded: as a scale is."""
    runs = [(lengths[index % len(lengths)], index % 20 == 0) for index in range(count)]
    schedule = simulate(train_and_fold(runs), gpus)
    assert schedule.makespan <= 1.1 * schedule.bound


def train_and_fold(runs):
    jobs = []
    for index, (length, folded) in enumerate(runs):
        jobs.append(ScheduledJob(f"train{index}", length))
        if folded:
            jobs.append(ScheduledJob(f"fold{index}", 0.05 * length, needs=(f"train{index}",)))
    return jobs


def test_the_longest_goes_first():
    jobs = [ScheduledJob(name, length) for name, length in (("a", 1), ("b", 1), ("c", 2))]
    assert simulate(jobs, 2).makespan == 2


@pytest.mark.parametrize(
    ("jobs", "units", "words"),
    [
        ([ScheduledJob("a", 1)], 0, "at least 1"),
        ([ScheduledJob("a", 1, needs=("b",))], 1, "is no job"),
        ([ScheduledJob("a", 1, needs=("b",)), ScheduledJob("b", 1, needs=("a",))], 1, "needs itself"),
    ],
)
def test_bad_dags_get_one_line(jobs, units, words):
    with pytest.raises(UserError, match=words):
        simulate(jobs, units)
