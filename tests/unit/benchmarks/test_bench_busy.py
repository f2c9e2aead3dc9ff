"""The summary of runs alone and side by side."""

from bench_busy import LIMIT, _summary


def cost(wall_s, cpu_s):
    return {"wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": 1.0}


def test_a_pair_takes_as_long_as_its_slower_run_and_ratios_are_those_of_each_round():
    rounds = [
        {"alone": cost(10.0, 18.0), "pair": [cost(19.0, 17.0), cost(21.0, 18.0)]},
        {"alone": cost(20.0, 18.0), "pair": [cost(42.0, 17.0), cost(39.0, 18.0)]},
    ]
    found = _summary(rounds)
    assert (found["alone_s"], found["pair_s"], found["ratio"]) == (15.0, 31.5, 2.1)
    assert found["within_limit"] is (found["ratio"] <= LIMIT)
    assert "processes_gain" not in found


def test_the_gain_of_several_processes_is_that_of_each_round():
    rounds = [
        {"alone": cost(wall, 18.0), "pair": [cost(20.0, 18.0)] * 2, "processes": cost(8.0, 15.0)}
        for wall in (10.0, 12.0)
    ]
    found = _summary(rounds)
    assert (found["processes_s"], found["processes_cpu_s"]) == (8.0, 15.0)
    assert found["processes_gain"] == 1.375
