"""Requests of a fleet to Ray, and the nodes' answers: with a stand-in for Ray."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from suite.fleet import engine, node as nodes
from suite.fleet.dispatch import Work
from suite.fleet.engine import RayCluster
from suite.fleet.loop import Answered, ClusterLost, Failed, Joined, Left
from suite.records.cell import Conditions
from suite.session.plan import Plan
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'tetragrad[cluster]'")

from tests.suite.fake_ray import FakeRay, node  # noqa: E402  (it needs Ray's exceptions)

PLAN = Plan(
    choices=(("perceptron", "rule"), ("fashion_mlp", None)),
    backends=(("numpy", "eager"),),
    conditions=Conditions(profile="smoke"),
    seeds=range(2),
    data="auto",
    timeout=60,
    timing_limit=0,
)
ON_CARDS = Plan(**{**vars(PLAN), "conditions": Conditions(profile="smoke", device="cuda")})
WORK = Work("perceptron:rule", 0)
A, B = 56 * "a", 56 * "b"
HAS = nodes.facts(PLAN, data=False) | {"data": {"perceptron": "real", "fashion_mlp": "generated"}}


class Said:
    """A reporter of whom only the lines are of interest."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def changed(**facts: Any) -> dict[str, Any]:
    """Facts of a node that differ from this machine's; a version that is None is missing."""
    own = copy.deepcopy(HAS)
    for name, value in facts.pop("versions", {}).items():
        own["versions"].update({name: value})
        if value is None:
            del own["versions"][name]
    return own | facts


def answering(facts: dict[str, dict[str, Any]], work: Any = None) -> Callable[..., Any]:
    """Nodes that describe themselves by ``facts``, or as this machine; and do a work so."""

    def answer(function: str, where: str, arguments: Any) -> Any:
        if function == "describe":
            return json.dumps(facts.get(where[0], HAS))
        return work(where) if work else ({"said.json": b"[]"}, None)

    return answer


def cluster(
    *there: dict[str, Any], plan: Plan = PLAN, answer: Any = None, said: Said | None = None
) -> tuple[RayCluster, FakeRay]:
    fake: Any = FakeRay(*there, answer=answer or answering({}))
    return RayCluster(fake, plan, said or Said()), fake


def refusal(*there: dict[str, Any], **facts: dict[str, Any]) -> str:
    """The error with which nodes are refused."""
    with pytest.raises(RequestError) as error:
        cluster(*there, answer=answering(facts))
    return str(error.value)


class TestNodes:
    def test_a_cluster_without_our_resource_is_refused_with_how_to_start_nodes(self) -> None:
        assert refusal(node("a"), node("b", GPU=1)) == (
            "no node has the resource tetragrad; start nodes with ray start --address=HEAD:6379 "
            "--resources='{\"tetragrad\": 1}'"
        )

    def test_differences_are_named_by_node(self) -> None:
        said = refusal(
            *(node(key, tetragrad=1) for key in "abc"),
            b=changed(versions={"numpy": "1.0", "jax": None, "Tetragrad's source": "other"}),
            c=changed(refused="fashion_mnist could not be downloaded"),
        )
        here = HAS["versions"]
        assert "host-a" not in said
        assert f"numpy is 1.0 there and {here['numpy']} here" in said
        assert f"jax is missing there and {here['jax']} here" in said
        assert "Tetragrad's source is other there" in said
        assert "host-c: fashion_mnist could not be downloaded" in said

    def test_of_many_differences_a_few_are_named(self) -> None:
        said = refusal(node("a", tetragrad=1), a=changed(versions={f"p{n}": "1" for n in range(9)}))
        assert said.count("is 1 there and missing here") == engine.NAMED
        assert "and 4 more" in said

    def test_other_data_are_named(self) -> None:
        other = changed(data={"perceptron": "real", "fashion_mlp": "real"})
        said = refusal(node("a", tetragrad=1), node("b", tetragrad=1), b=other)
        assert "host-b: it has real data for fashion_mlp, others have generated" in said

    def test_one_where_tetragrad_is_not_installed(self) -> None:
        missing = ray.exceptions.RayTaskError(
            "describe", "", ModuleNotFoundError("No module named 'suite'")
        )

        def answer(function: str, where: str, arguments: Any) -> Any:
            return missing if where == B else json.dumps(HAS)

        with pytest.raises(RequestError, match=r"host-b: .*Tetragrad is not installed there"):
            cluster(node("a", tetragrad=1), node("b", tetragrad=1), answer=answer)

    def test_one_that_joins_late_is_asked_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "LOOK", -1.0)
        monkeypatch.setattr(engine, "TICK", 0.0)
        said = Said()
        facts = {"c": changed(versions={"numpy": "1.0"})}
        own, fake = cluster(node("a", tetragrad=1), answer=answering(facts), said=said)
        (first,) = own.events()
        assert isinstance(first, Joined)
        fake.there += [node("b", tetragrad=1), node("c", tetragrad=1), node("d")]
        list(own.events())
        assert [event.node for event in own.events() if isinstance(event, Joined)] == [B]
        assert said.lines[0] == "host-b joins"
        assert "host-c joins and is left out: numpy is 1.0 there" in said.lines[1]
        del fake.there[0]
        assert [event for event in own.events() if isinstance(event, Left)] == [
            Left(A, "the node is gone")
        ]

    def test_names_of_nodes_are_told_apart(self) -> None:
        twin = {**node("b", tetragrad=1), "NodeName": "host-a"}
        own, _ = cluster(node("a", tetragrad=1), twin)
        assert [event.name for event in own.events()] == ["host-a", "host-a-bbbb"]  # type: ignore[union-attr]


class TestWork:
    def test_a_comparison_has_its_node_to_itself(self) -> None:
        own, fake = cluster(node("a", tetragrad=1))
        own.start(A, WORK, {})
        name, where, asked = fake.submitted[-1]
        assert (name, where, asked["scheduling_strategy"].soft) == ("work", A, False)
        assert asked["resources"] == {"tetragrad": 1}
        assert (asked["num_cpus"], asked["num_gpus"], asked["max_retries"]) == (2.0, 0, 0)
        list(own.events())
        (answer,) = own.events()
        assert isinstance(answer, Answered)
        assert (answer.node, answer.work, answer.files) == (A, WORK, {"said.json": b"[]"})

    def test_on_cards_a_comparison_asks_for_one(self) -> None:
        own, fake = cluster(node("a", tetragrad=1), node("b", tetragrad=1, GPU=2), plan=ON_CARDS)
        assert [event.node for event in own.events()] == [B]
        own.start(B, WORK, {})
        assert fake.submitted[-1][2]["num_gpus"] == 1

    def test_without_cards_there_is_no_node_for_it(self) -> None:
        with pytest.raises(RequestError, match="no node has the resource tetragrad and a GPU"):
            cluster(node("a", tetragrad=1), plan=ON_CARDS)

    @pytest.mark.parametrize(
        ("outcome", "why"),
        [
            (({}, "No space left on device"), "No space left on device"),
            (ray.exceptions.WorkerCrashedError(), "WorkerCrashedError: The worker died"),
            (ray.exceptions.ObjectLostError("1" * 56, None, ""), "ObjectLostError: "),
        ],
    )
    def test_that_fails(self, outcome: Any, why: str) -> None:
        own, _ = cluster(node("a", tetragrad=1), answer=answering({}, lambda where: outcome))
        own.start(A, WORK, {})
        list(own.events())
        (failed,) = own.events()
        assert isinstance(failed, Failed)
        assert why in failed.why
        assert "\n" not in failed.why

    def test_for_a_node_that_has_just_left_is_not_begun(self) -> None:
        own, fake = cluster(node("a", tetragrad=1))
        before = len(fake.submitted)
        own.start("c", WORK, {})
        assert len(fake.submitted) == before


def test_a_head_that_does_not_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    own, fake = cluster(node("a", tetragrad=1))
    monkeypatch.setattr(engine, "LOOK", -1.0)
    monkeypatch.setattr(engine, "TICK", 0.0)
    monkeypatch.setattr(engine, "SILENCE", -1.0)
    monkeypatch.setattr(fake, "nodes", lambda: __import__("time").sleep(0.5))
    with pytest.raises(ClusterLost, match="has not answered"):
        list(own.events())


@pytest.mark.parametrize("address", ["local:0", "local:x", "somewhere", "http://x:1", "ray://x"])
def test_what_is_no_address_is_refused(tmp_path: Any, address: str) -> None:
    done = in_process(tmp_path, "run", "--cluster", address)
    assert done.returncode == 2
    assert f"--cluster {address} is no address; give auto" in done.stderr
    assert not list((tmp_path / "results").glob("sessions/*"))


def test_devices_that_are_not_the_same_everywhere_are_refused(tmp_path: Any) -> None:
    done = in_process(tmp_path, "run", "--cluster", "local:1", "--device", "auto")
    assert_refused(done, "--device auto is not the same on every node", "cpu or cuda")
