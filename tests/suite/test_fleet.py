"""The bookkeeping of a fleet, with made-up nodes: who gets what, retries, exactly once."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, strategies as st

from suite.fleet.dispatch import TRIES, Dispatch, Work
from suite.fleet.loop import STOPPED, drive
from tests.simulated import Cluster, Faults, Home

TASKS = {"lstm": 60.0, "perceptron": 5.0, "regression": 3.0}


def works(seeds: int) -> list[Work]:
    return [Work(task, seed) for task in TASKS for seed in range(seeds)]


def seconds(work: Work) -> float:
    return TASKS[work.task]


def run(cluster: Cluster, wanted: list[Work]) -> tuple[Dispatch, Home, str | None]:
    dispatch, home = Dispatch(wanted), Home(cluster)
    why = drive(dispatch, cluster, home, now=lambda: cluster.now, patience=10_000)
    return dispatch, home, why


def joined(*kinds: str, wanted: list[Work]) -> Dispatch:
    """Bookkeeping with a node of each kind, called ``a``, ``b``, and so on."""
    dispatch = Dispatch(wanted)
    for name, kind in zip("abcdefg", kinds, strict=False):
        dispatch.join(name, name, kind)
    return dispatch


class TestRandomFailures:
    @given(
        seed=st.integers(0, 10**6),
        nodes=st.integers(1, 12),
        kinds=st.integers(1, 3),
        seeds=st.integers(1, 15),
        life=st.sampled_from([150.0, 400.0, 5000.0, float("inf")]),
        flaws=st.sampled_from([0.0, 0.02]),
        late=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def test_every_comparison_comes_home_once_or_is_named(
        self, seed: int, nodes: int, kinds: int, seeds: int, life: float, flaws: float, late: float
    ) -> None:
        dice = random.Random(seed)
        names = [f"kind {dice.randrange(kinds)}" for _ in range(nodes)]
        cluster = Cluster(names, seconds, Faults(life, 100.0, flaws, late), seed)
        dispatch, home, why = run(cluster, works(seeds))
        if why:  # too many flaws: all nodes were left out
            assert flaws
            assert len(dispatch.left_out) >= nodes
            return
        assert set(home.taken) | set(dispatch.given_up) == set(works(seeds))
        assert not set(home.taken) & set(dispatch.given_up)
        assert set(home.taken.values()) <= {1}
        assert dispatch.done == set(home.taken)
        if life == float("inf") and not flaws:
            assert not dispatch.given_up
            assert set(home.prepared.values()) <= {1}

    def test_all_nodes_die_again_and_again(self) -> None:
        """Far more often than a comparison takes: the work is retried, and goes on."""
        cluster = Cluster(["x"] * 6, seconds, Faults(life=300.0, repair=50.0), seed=1)
        dispatch, home, why = run(cluster, works(40))
        assert why is None
        assert cluster.deaths > 6
        assert len(home.taken) + len(dispatch.given_up) == 120
        assert len(dispatch.given_up) <= 1


class TestNodes:
    def test_one_that_fails_three_times_is_left_out_and_named(self) -> None:
        cluster = Cluster(["x"] * 4, seconds, Faults(broken=frozenset({"node-2"})))
        dispatch, home, why = run(cluster, works(10))
        assert why is None
        assert dispatch.left_out == {"node-2": "a flaw"}
        assert home.taken == Counter(works(10))

    def test_none_is_left_out_for_work_that_fails_everywhere(self) -> None:
        poison = frozenset({Work("lstm", 1), Work("regression", 0)})
        cluster = Cluster(["x"] * 3, seconds, Faults(poison=poison))
        dispatch, home, why = run(cluster, works(6))
        assert why is None
        assert dispatch.left_out == {}
        assert set(dispatch.given_up) == poison
        assert dispatch.given_up[Work("lstm", 1)].count("a flaw") == TRIES
        assert set(home.taken) == {*works(6)} - poison

    def test_the_work_ends_where_there_is_none_any_more(self) -> None:
        everyone = frozenset({"node-0", "node-1"})
        cluster = Cluster(["x"] * 2, seconds, Faults(broken=everyone))
        dispatch, _, why = run(cluster, works(9))
        assert why == "there has been no node for 10000 s"
        assert set(dispatch.left_out) == everyone

    def test_one_that_joins_late_has_its_share(self) -> None:
        dispatch = joined("x", wanted=works(1))
        assert dict(dispatch.assignments()) == {"a": Work("lstm", 0)}
        dispatch.join("b", "b", "y")
        assert dict(dispatch.assignments()) == {"b": Work("perceptron", 0)}

    def test_one_taken_for_dead_may_answer_while_another_has_its_work(self) -> None:
        dispatch = joined("x", wanted=[Work("lstm", 0)])
        assert dict(dispatch.assignments()) == {"a": Work("lstm", 0)}
        dispatch.leave("a", "gone")
        dispatch.join("b", "b", "x")
        assert dict(dispatch.assignments()) == {"b": Work("lstm", 0)}
        assert dispatch.awaits(Work("lstm", 0))
        dispatch.finished("a", Work("lstm", 0), 1.0)
        assert dispatch.over
        assert not dispatch.awaits(Work("lstm", 0))
        dispatch.finished("b", Work("lstm", 0), 1.0)
        assert dispatch.done == {Work("lstm", 0)}

    def test_work_that_failed_goes_to_another_node_first(self) -> None:
        dispatch = joined("x", "y", wanted=[Work("lstm", 0)])
        assert dict(dispatch.assignments()) == {"a": Work("lstm", 0)}
        dispatch.failed("a", Work("lstm", 0), "a flaw")
        assert dict(dispatch.assignments()) == {"b": Work("lstm", 0)}
        dispatch.failed("b", Work("lstm", 0), "a flaw")
        assert dict(dispatch.assignments()) == {"a": Work("lstm", 0)}


class TestKinds:
    def test_each_is_prepared_once_for_each_task(self) -> None:
        cluster = Cluster(["x"] * 5 + ["y"] * 4, seconds)
        _, home, _ = run(cluster, works(20))
        assert home.prepared == {(kind, task): 1 for kind in "xy" for task in TASKS}

    def test_a_node_that_is_alone_prepares_within_its_first_comparison(self) -> None:
        _, home, _ = run(Cluster(["x", "y"], seconds), works(3))
        assert home.prepared == {}
        assert home.taken == Counter(works(3))

    def test_a_preparation_that_fails_is_made_elsewhere_and_in_the_end_left_to_comparisons(
        self,
    ) -> None:
        poison = frozenset({Work("lstm")})
        dispatch, home, why = run(Cluster(["x"] * 3, seconds, Faults(poison=poison)), works(4))
        assert why is None
        assert home.taken == Counter(works(4))
        assert dispatch.left_out == {}

    def test_nodes_wait_for_what_another_one_prepares(self) -> None:
        dispatch = joined("x", "x", wanted=[Work("lstm", 0), Work("lstm", 1)])
        assert dict(dispatch.assignments()) == {"a": Work("lstm")}
        assert dict(dispatch.assignments()) == {}
        dispatch.finished("a", Work("lstm"), 1.0)
        assert {*dict(dispatch.assignments())} == {"a", "b"}


class TestOrder:
    def test_what_takes_longest_comes_first_once_that_is_known(self) -> None:
        wanted = [Work("regression", n) for n in range(3)] + [Work("lstm", n) for n in range(3)]
        dispatch = joined("x", wanted=wanted)
        order = []
        while not dispatch.over:
            ((node, work),) = dispatch.assignments()
            order.append(work.task)
            dispatch.finished(node, work, seconds(work))
        assert order == ["regression", "lstm", "lstm", "lstm", "regression", "regression"]

    def test_nodes_end_at_about_the_same_time(self) -> None:
        cluster = Cluster(["x"] * 10, seconds)
        run(cluster, works(100))
        ideal = sum(map(seconds, works(100))) / 10
        assert ideal <= cluster.now <= 1.15 * ideal


def test_ctrl_c_ends_the_loop() -> None:
    cluster = Cluster(["x"], seconds)
    dispatch = Dispatch(works(1))
    home = Home(cluster)
    assert drive(dispatch, cluster, home, stopped=lambda: len(home.taken) > 1) == STOPPED
    assert len(dispatch.done) == 2


def test_a_work_says_what_it_is() -> None:
    assert [str(Work("lstm", 3)), str(Work("lstm"))] == ["lstm, seed 3", "preparing lstm"]
