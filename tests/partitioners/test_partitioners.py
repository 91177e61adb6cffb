"""Every built-in partitioner, through the plugin door and `build`."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pflbench.federation.partitioners
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Federation, Partitioner, Pool, build
from pflbench.federation.skew import class_counts, count_matrix, skew_summary
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import describe_parameters, parse_parameters
from pflbench.schema.plugins import load
from pflbench.schema.specs import resolve

REGISTRY = load([], {"built-in": pflbench.federation.partitioners})
DEALING = ["iid", "dirichlet", "dirichlet(alpha=0.0001)", "quantity", "quantity(alpha=0.001)"]
DRAWING = [*DEALING, "pathological(classes_per_client=1)", "pathological", "rotated(step=90)"]


def make(text: str) -> Partitioner:
    expression = parse_expression(text, kind="partition")
    spec = REGISTRY.get(REGISTRY.partitioners, expression.name)
    parameters = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    return resolve(spec.make, owner=spec.name)(parameters)


def pool_of(train_y, test_y, validation, classes, **more) -> Pool:
    """Samples of 1×1 pixel that say which sample they are: i in training, -1 - i in test."""
    train_y, test_y = np.asarray(train_y), np.asarray(test_y)
    return Pool(
        np.arange(len(train_y), dtype=np.float32).reshape(-1, 1, 1, 1),
        train_y,
        -1 - np.arange(len(test_y), dtype=np.float32).reshape(-1, 1, 1, 1),
        test_y,
        classes=classes,
        source="numbered samples",
        validation=validation,
        **more,
    )


def check_whole(federation: Federation, pool: Pool, clients: int) -> None:
    """No sample twice, each with its label, nobody without a sample in any split."""
    seen = {split: federation.split(split).x.flatten().numpy().astype(int) for split in SPLITS}
    trained = np.concatenate([seen["train"], seen["val"]])
    assert len(np.unique(trained)) == len(trained)
    assert len(np.unique(seen["test"])) == len(seen["test"])
    for split in SPLITS:
        shards = federation.split(split)
        assert federation.clients == len(shards.sizes) == clients
        assert shards.sizes.min() >= 1
        labels, index = (
            (pool.test_y, -1 - seen[split]) if split == "test" else (pool.train_y, seen[split])
        )
        assert (shards.y.numpy() == labels[index]).all()


@st.composite
def pools(draw) -> Pool:
    classes = draw(st.integers(1, 6))
    label = st.integers(0, classes - 1)
    train = draw(st.lists(label, min_size=2, max_size=60))
    test = draw(st.lists(label, min_size=1, max_size=30))
    return pool_of(train, test, draw(st.integers(1, len(train) - 1)), classes)


@pytest.mark.parametrize("text", DRAWING)
@settings(max_examples=60, deadline=None)
@given(pool=pools(), clients=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_any_pool_makes_a_whole_federation_or_an_error_that_says_why(text, pool, clients, seed):
    try:
        federation = build(pool, make(text), clients, seed)
    except InputError as error:
        why = str(error)
    else:
        why = ""
    train = len(pool.train_y) - pool.validation
    too_many = clients > min(train, pool.validation, len(pool.test_y))
    assert too_many == ("More clients than samples" in why)
    if why:
        assert too_many or why.startswith("pathological")
        return
    check_whole(federation, pool, clients)
    if text in DEALING:
        assert len(federation.train.y) + len(federation.val.y) == len(pool.train_y)
        assert len(federation.test.y) == len(pool.test_y)
    again = build(pool, make(text), clients, seed)
    assert again.index_hashes == federation.index_hashes
    assert all((again.split(s).x == federation.split(s).x).all() for s in SPLITS)


@pytest.fixture(scope="module")
def many() -> Pool:
    rng = np.random.default_rng(5)
    return pool_of(rng.integers(0, 10, 60_000), rng.integers(0, 10, 10_000), 10_000, 10)


@pytest.mark.parametrize("text", DRAWING)
def test_another_seed_is_another_split_and_the_same_data(text, many):
    one, two = build(many, make(text), 7, 1), build(many, make(text), 7, 2)
    assert all(one.index_hashes[s] != two.index_hashes[s] for s in SPLITS)
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "iid",
        "dirichlet",
        "dirichlet(alpha=0.1)",
        "quantity(alpha=3)",
        "pathological",
        "pathological(classes_per_client=10)",
    ],
)
def test_clients_have_one_distribution_in_all_splits(text, many):
    table = class_counts(build(many, make(text), 20, 3))
    summary = skew_summary(table).set_index("split")
    assert summary["from_train"].max() < 0.05
    sizes = {s: count_matrix(table, s).sum(axis=1) / summary["samples"][s] for s in SPLITS}
    assert np.allclose(sizes["train"], sizes["val"], atol=0.005)
    assert np.allclose(sizes["train"], sizes["test"], atol=0.005)


@pytest.mark.parametrize(
    "text", ["dirichlet(alpha=0.1)", "quantity(alpha=0.1)", "iid", "pathological"]
)
def test_a_thousand_clients_take_seconds(text, many):
    start = time.process_time()
    federation = build(many, make(text), 1000, 0)
    assert time.process_time() - start < 10
    check_whole(federation, many, 1000)


def test_iid_is_even(many):
    table = class_counts(build(many, make("iid"), 33, 0))
    for split in SPLITS:
        counts = count_matrix(table, split)
        assert np.ptp(counts, axis=0).max() <= 1
        assert np.ptp(counts.sum(axis=1)) <= 1


def test_dirichlet_skew_follows_alpha(many):
    skew = [
        skew_summary(class_counts(build(many, make(f"dirichlet(alpha={a})"), 20, 0)))
        .set_index("split")
        .loc["train", "label_skew"]
        for a in (0.05, 0.5, 5, 1000)
    ]
    assert skew == sorted(skew, reverse=True)
    assert skew[0] > 0.6
    assert skew[-1] < 0.05


def test_dirichlet_with_few_samples_prefers_the_clients_own_classes():
    rng = np.random.default_rng(0)
    pool = pool_of(rng.integers(0, 10, 6000), rng.integers(0, 10, 1000), 1000, 10)
    table = class_counts(build(pool, make("dirichlet(alpha=0.05)"), 300, 1))
    train, val = count_matrix(table, "train"), count_matrix(table, "val")
    foreign = ((train == 0) & (val > 0)).any(axis=1)
    assert foreign.mean() < 0.1


@pytest.mark.parametrize(("clients", "each"), [(50, 2), (7, 3), (3, 2), (100, 10), (1, 4)])
def test_pathological_gives_each_client_its_classes_evenly(clients, each, many):
    federation = build(many, make(f"pathological(classes_per_client={each})"), clients, 0)
    held = {s: count_matrix(class_counts(federation), s) > 0 for s in SPLITS}
    assert (held["train"].sum(axis=1) == each).all()
    assert (held["train"] == held["val"]).all()
    assert (held["train"] == held["test"]).all()
    assert np.ptp(held["train"].sum(axis=0)) <= 1
    counts = count_matrix(class_counts(federation), "train")
    for column in counts.T:  # weights of 0.4 to 0.6: nobody has over 1.5 times another's part
        if (column > 0).any():
            assert column.max() <= 1.5 * column[column > 0].min() + 2


def test_pathological_leaves_out_classes_that_cannot_be_tested():
    pool = pool_of([0, 1, 2] * 20, [0, 1] * 10, 15, 3)
    federation = build(pool, make("pathological"), 4, 0)
    assert not (federation.train.y == 2).any()
    with pytest.raises(InputError, match=r"classes_per_client=3\).*2 classes with samples"):
        build(pool, make("pathological(classes_per_client=3)"), 4, 0)


def test_quantity_is_skewed_in_size_alone(many):
    skewed = skew_summary(class_counts(build(many, make("quantity"), 20, 0))).iloc[0]
    milder = skew_summary(class_counts(build(many, make("quantity(alpha=5)"), 20, 0))).iloc[0]
    assert skewed["largest"] / skewed["median"] > milder["largest"] / milder["median"] > 1.2
    assert milder["label_skew"] < 0.01


@pytest.fixture
def owned() -> Pool:
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(6), [3, 40, 2, 17, 5, 60])
    return pool_of(
        rng.integers(0, 4, len(owner)),
        rng.integers(0, 4, 30),
        30,
        4,
        train_owner=owner,
        test_owner=np.arange(30) % 6,
    )


def test_natural_leaves_samples_with_their_owners(owned):
    federation = build(owned, make("natural"), None, 0)
    check_whole(federation, owned, 6)
    for i in range(6):
        for split in ("train", "val"):
            index = federation.split(split).client(i)[0].flatten().numpy().astype(int)
            assert (owned.train_owner[index] == i).all()
        index = -1 - federation.test.client(i)[0].flatten().numpy().astype(int)
        assert (owned.test_owner[index] == i).all()
    assert len(federation.train.y) + len(federation.val.y) == len(owned.train_y)


def test_natural_without_its_clients_says_so(owned):
    bare = pool_of([0, 1] * 9, [0, 1] * 4, 6, 2)
    with pytest.raises(InputError, match="needs data with client ids"):
        build(bare, make("natural"), 2, 0)
    with pytest.raises(InputError, match="give the number of clients"):
        build(bare, make("natural"), None, 0)
    with pytest.raises(InputError, match="keeps the 6 clients"):
        build(owned, make("natural"), 5, 0)
    untested = pool_of(
        [0, 1] * 9, [0, 1, 0], 6, 2, train_owner=np.arange(18) % 3, test_owner=np.array([0, 0, 2])
    )
    with pytest.raises(InputError, match="client 1 of the data has no test sample"):
        build(untested, make("natural"), None, 0)


@pytest.mark.parametrize(
    "text",
    [
        "dirichlet(alpha=0)",
        "dirichlet(alpha=nan)",
        "quantity(alpha=-1)",
        "rotated(train=0)",
        "pathological(classes_per_client=0)",
        "dirichlet(alfa=1)",
        "iid(x=1)",
    ],
)
def test_parameters_out_of_bounds_or_unknown_are_refused(text):
    with pytest.raises(InputError):
        make(text)


def test_the_records_are_whole_and_import_no_torch():
    assert REGISTRY.problems == []
    assert REGISTRY.partitioners.names() == [
        "dirichlet",
        "fedrep-shards",
        "hsu",
        "iid",
        "indices",
        "inner-dirichlet",
        "lognormal",
        "natural",
        "niid-label",
        "niid-labeldir",
        "niid-quantity",
        "pathological",
        "pfedme-mnist",
        "pfllib-dir",
        "pfllib-exdir",
        "pfllib-pat",
        "quantity",
        "rotated",
    ]
    for spec in REGISTRY.partitioners.specs():
        assert issubclass(resolve(spec.make, owner=spec.name), Partitioner)
        assert all(info.help for info in describe_parameters(spec.parameters))
    code = (
        "import pflbench.federation.partitioners as p, sys; p.pflbench_partitioners(); "
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
