"""A matrix as a file: what it stands for, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pflbench.errors import InputError
from pflbench.experiments.grid import Matrix, Point, TuningPlan, read_matrix


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "matrix.toml"


def read(path: Path, text: str) -> Matrix:
    path.write_text(text, "utf-8")
    return read_matrix(path)


def said(point: Point) -> tuple[str, str, str | None, int]:
    scenario = point.scenario
    return str(point.method), scenario["dataset"], scenario.get("partition"), point.seed


WHOLE = """
methods = ["local", "fedprox(mu=0.1)", { name = "fedora", top_k = [2, 3], alpha = 0.5 }]
seeds = [0, 1]

[scenario]
rounds = 100
local-epochs = 2

[[scenarios]]
dataset = ["mnist", "fashion-mnist"]

[[scenarios]]
dataset = ["mnist", "fashion-mnist"]
partition = ["dirichlet(alpha=0.1)", "pathological(classes_per_client=2)"]
clients = 100
local_steps = 5
rounds = 40

[[exclude]]
method = "fedora(top_k=2)"
dataset = "fashion-mnist"
partition = "pathological"

[tuning]
trials = 8
rounds = 50
"""


def test_a_file_stands_for_every_combination_but_those_left_out(written: Path) -> None:
    matrix = read(written, WHOLE)
    assert [str(method) for method in matrix.methods] == [
        "local",
        "fedprox(mu=0.1)",
        "fedora(top_k=2, alpha=0.5)",
        "fedora(top_k=3, alpha=0.5)",
    ]
    points = list(matrix.points())
    assert len(points) == len({said(p) for p in points}) == 6 * 2 * 4 - 2
    left_out = {
        ("fedora(top_k=2, alpha=0.5)", "fashion-mnist", "pathological(classes_per_client=2)", seed)
        for seed in (0, 1)
    }
    assert not left_out & {said(p) for p in points}
    assert matrix.tuning == TuningPlan(8, 50, (100,))
    own = {"clients": 100, "rounds": 40, "local_steps": 5}
    for point in points:
        more = dict(point.scenario)
        more.pop("dataset")
        expected = {"rounds": 100, "local_epochs": 2}
        assert more == (
            {**own, "partition": more["partition"]} if "partition" in more else expected
        )


def test_a_seed_of_the_matrix_is_not_tuned_with_unless_it_is_named(written: Path) -> None:
    several = WHOLE.replace("seeds = [0, 1]", "seeds = [0, 100, 101]")
    plans = [read(written, text).tuning for text in (several, several + "seeds = [0]\n")]
    assert [plan.seeds for plan in plans if plan] == [(102,), (0,)]


def test_cells_of_one_federation_follow_each_other(written: Path) -> None:
    matrix = read(written, WHOLE + "\n[[scenarios]]\ndataset = 'mnist'\nlr = [0.1, 0.01]\n")
    keys = ("dataset", "partition", "clients", "population")
    federations = [(*(p.scenario.get(k) for k in keys), p.seed) for p in matrix.points()]
    changes = [b for a, b in zip([None, *federations], federations, strict=False) if a != b]
    assert len(changes) == len(set(changes)) == 6 * 2
    data = [p.scenario["dataset"] for p in matrix.points()]
    assert data == sorted(data, key=["mnist", "fashion-mnist"].index)


def test_requests_are_what_the_points_say(written: Path) -> None:
    matrix = read(written, WHOLE)
    requests = matrix.requests(device="cpu", rerun="always")
    for point, request in zip(matrix.points(), requests, strict=True):
        assert (request.algorithm, request.parameters) == (
            point.method.name,
            point.method.arguments,
        )
        assert {k: getattr(request, k) for k in point.scenario} == point.scenario
        assert (request.seed, request.device, request.rerun) == (point.seed, "cpu", "always")


def test_without_tables_of_scenarios_the_shared_one_is_it(written: Path) -> None:
    text = "methods = ['local']\n[scenario]\ndataset = ['mnist', 'fashion-mnist', 'mnist']\n"
    points = list(read(written, text + "clients = [10, 20]").points())
    assert [(p.scenario["dataset"], p.scenario["clients"], p.seed) for p in points] == [
        ("mnist", 10, 0),
        ("mnist", 20, 0),
        ("fashion-mnist", 10, 0),
        ("fashion-mnist", 20, 0),
    ]


def test_lists_that_are_values_by_themselves(written: Path) -> None:
    text = "methods = 'local'\n[scenario]\ndataset = 'mnist'\nnew_clients = 0.2\nrounds = 20\n"
    (one,) = read(written, text + "shots = [1, 'all']\nonboard_at = 10").scenarios
    assert (one["shots"], one["onboard_at"]) == ("1,all", "10")
    several = read(written, text + "shots = [[1, 'all'], [5]]\nonboard_at = '5,10'").scenarios
    assert [s["shots"] for s in several] == ["1,all", "5"]
    assert {s["onboard_at"] for s in several} == {"5,10"}


def test_paths_of_data_sets_are_relative_to_the_file(written: Path) -> None:
    text = """
methods = ["local"]
[scenario]
dataset = ["npz:mine.npz", "npz:/data/theirs.npz", "mnist"]
population = "foreign(dataset=npz:others.npz, share=0.5)"
[[exclude]]
dataset = "npz:mine.npz"
"""
    here = written.parent
    matrix = read(written, text)
    assert [s["dataset"] for s in matrix.scenarios] == [
        f"npz:{here / 'mine.npz'}",
        "npz:/data/theirs.npz",
        "mnist",
    ]
    assert {s["population"] for s in matrix.scenarios} == {
        f"foreign(dataset=npz:{here / 'others.npz'}, share=0.5)"
    }
    assert len(list(matrix.points())) == 2


@pytest.mark.parametrize(
    ("exclusion", "left"),
    [
        ("method = 'fedora'", {"local", "fedprox(mu=0.1)", "fedprox"}),
        ("method = 'fedprox(mu=0.10)'", {"local", "fedora(top_k=3)", "fedprox"}),
        ("method = 'fedprox(mu=0.01)'", {"local", "fedora(top_k=3)", "fedprox(mu=0.1)"}),
        ("method = ['local', 'fedprox']", {"fedora(top_k=3)"}),
        ("clients = 36\nmethod = 'local'", {"fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"}),
        ("clients = 37", {"local", "fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"}),
        ("seed = [4]\nmethod = 'local'", {"fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"}),
        ("seed = 5", {"local", "fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"}),
        ("model = 'mlp(hidden=128)'\nmethod = ['local', 'fedora']", {"fedprox(mu=0.1)", "fedprox"}),
        ("model = 'mlp(hidden=64)'", {"local", "fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"}),
        (
            "precision = 'float32'\nbatch-size = 64\nmethod = 'local'",
            {"fedora(top_k=3)", "fedprox(mu=0.1)", "fedprox"},
        ),
    ],
)
def test_a_cell_is_left_out_if_all_that_is_said_is_true_of_it(
    exclusion: str, left: set[str], written: Path
) -> None:
    text = "methods = ['local', 'fedprox(mu=0.1)', 'fedprox', 'fedora(top_k=3)']\nseeds = [4]\n"
    text += f"scenario.dataset = 'mnist'\n[[exclude]]\n{exclusion}\n"
    assert {str(point.method) for point in read(written, text).points()} == left


BASE = "methods = ['local']\nscenario.dataset = 'mnist'\n"


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("methods = [", "", "is not a TOML file"),
        ("scenario.dataset = 'mnist'", "methods", "missing"),
        (BASE.replace("local", "feddora"), "methods", "Did you mean 'fedora'?"),
        (BASE + "sceanrios = []", "", "There is no key 'sceanrios'. Did you mean 'scenarios'?"),
        (BASE + "scenario.rouns = 3", "[scenario]", "Did you mean 'rounds'?"),
        (BASE + "scenario.batch-sise = 3", "[scenario]", "Did you mean 'batch_size'?"),
        (BASE + "scenario.device = 'cpu'", "[scenario]", "There is no key 'device'."),
        (BASE + "scenario.rounds = 0", "[scenario]", "expected a whole number ≥ 1"),
        (BASE + "scenario.rounds = true", "[scenario]", "expected a whole number ≥ 1"),
        (BASE + "scenario.rounds = []", "[scenario]", "rounds is empty"),
        (BASE + "scenario.rounds = [[1, 2]]", "[scenario]", "rounds: [1, 2] is not valid"),
        (BASE + "scenario.lr = 1979-05-27", "[scenario]", "expected a text, a number"),
        (BASE + "scenario.lr = nan", "[scenario]", "expected a number > 0"),
        (BASE + "scenario.participation = 1.5", "[scenario]", "> 0 and ≤ 1"),
        (BASE + "scenario.participation = 'dropuot'", "[scenario]", "Did you mean 'dropout'?"),
        (BASE + "scenario.privacy = 'gauss'", "[scenario]", "Did you mean 'gaussian'?"),
        (BASE + "scenario.precision = 'half'", "[scenario]", "expected float32"),
        (BASE + "scenario.shots = [1]", "[scenario]", "the scenario has none"),
        (BASE + "scenario.batch_size = 3\nscenario.batch-size = 3", "[scenario]", "given twice"),
        (BASE + "scenario.local_steps = 3\nscenario.local_epochs = 3", "[scenario]", "exclude"),
        ("methods = ['local']\nscenario.rounds = 3", "[scenario]", "dataset is missing"),
        (
            BASE + "[[scenarios]]\nlr = 0.1\n[[scenarios]]\npartition = 'idd'",
            "[[scenarios]] number 2",
            "Did you mean 'iid'?",
        ),
        (BASE + "[scenarios]\nlr = 0.1", "scenarios", "expected [[scenarios]]"),
        (BASE + "[[scenario]]\nlr = 0.1", "", "is not a TOML file"),
        (BASE + "[[exclude]]\nmethods = 'local'", "[[exclude]] number 1", "Did you mean 'method'?"),
        (BASE + "[[exclude]]\nmethod = 'locla'", "[[exclude]] number 1", "Did you mean 'local'?"),
        (BASE + "[[exclude]]\nmethod = 'fedprox(m=1)'", "[[exclude]] number 1", "'mu'"),
        (BASE + "[[exclude]]\ndataset = 'minst'", "[[exclude]] number 1", "'mnist'"),
        (BASE + "[[exclude]]\nmodel = 'mpl'", "[[exclude]] number 1", "'mlp'"),
        (BASE + "[[exclude]]", "[[exclude]] number 1", "it says nothing"),
        (BASE + "[tuning]\nrounds = 3", "[tuning]", "trials is missing"),
        (BASE + "[tuning]\ntrials = 0", "[tuning]", "expected a whole number ≥ 1"),
        (BASE + "[tuning]\ntrials = 2\nseed = [0]", "[tuning]", "Did you mean 'seeds'?"),
        (BASE + "[tuning]\ntrials = 2\nextend = 1", "[tuning]", "expected true or false"),
        (BASE + "[tuning]\ntrials = 2\nmax_trials = 1", "[tuning]", "expected at least 2"),
        (BASE + "[tuning]\ntrials = 2\nscore = 1", "[tuning]", "expected the name of a metric"),
        (
            BASE + "[tuning]\ntrials = 2\nextend = false\nmax_trials = 9",
            "[tuning]",
            "leave one of the two out",
        ),
        (BASE + "[tuning]\ntrials = 2.5", "[tuning]", "trials = 2.5 is not valid"),
        ("methods = []\nscenario.dataset = 'mnist'", "methods", "empty"),
        ("methods = [3]\nscenario.dataset = 'mnist'", "methods", "3 is not a method"),
        ("methods = [{ mu = 1 }]\nscenario.dataset = 'mnist'", "methods", "is not a method"),
        (
            "methods = [{ name = 'fedprox', mue = 1 }]\nscenario.dataset = 'mnist'",
            "methods",
            "Did you mean 'mu'?",
        ),
        (
            "methods = [{ name = 'fedora', top_k = [0] }]\nscenario.dataset = 'mnist'",
            "methods",
            "fedora.top_k = '0' is not valid: expected a whole number ≥ 1.",
        ),
        ("seeds = [-1]\n" + BASE, "", "seeds = -1 is not valid: expected a whole number ≥ 0."),
        ("seeds = []\n" + BASE, "", "seeds is empty"),
        ("seeds = ['one']\n" + BASE, "", "seeds = 'one' is not valid"),
        ("seeds = [true]\n" + BASE, "", "seeds = True is not valid"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(
    text: str, place: str, expected: str, written: Path
) -> None:
    with pytest.raises(InputError) as refused:
        read(written, text)
    sentence = str(refused.value)
    assert expected in sentence
    assert sentence.startswith(f"{written}: {place}" if place else str(written))
    assert "\n" not in sentence


def test_a_file_that_is_not_there_or_all_left_out(written: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.toml cannot be read: No such file"):
        read_matrix(written)
    matrix = read(written, BASE + "[[exclude]]\nmethod = 'local'")
    with pytest.raises(InputError, match="all of them are excluded"):
        matrix.requests()


@pytest.mark.slow
def test_reading_a_matrix_needs_no_torch(written: Path) -> None:
    written.write_text(WHOLE, "utf-8")
    code = (
        "import sys; from pathlib import Path; from pflbench.experiments.grid import read_matrix\n"
        "assert len(list(read_matrix(Path(sys.argv[1])).points())) == 46\n"
        "assert not {'torch', 'pandas', 'pyarrow'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code, str(written)], check=True)
