"""The rules of comparison of every leaderboard, in one place."""

from __future__ import annotations

BASELINE = "local"
"""The method without communication: a method hurts a client if it does worse than this one."""

REFERENCE_ROWS = (BASELINE, "fedavg", "fedavg-ft")
"""Methods that every board should have: a method must beat them to justify its messages."""

LONGER_BASELINE = "local-plus"
"""The baseline with the further steps of a fine-tuned method, which must beat it."""

CONFIDENCE = 0.95
"""Of every interval: Student's t over seeds, of one number or one difference alone."""

SIGNIFICANCE, GUARANTEE = 0.05, 0.10
"""How often any row of a board of equals may be called different; and the upper limit,
however unequal the luck of the methods."""

FEWEST_SEEDS = 5
"""Fewer seeds have no verdict: `docs/studies/coverage.md` shows what it would be."""

FEWEST_DATA_SETS, FEWEST_METHODS = 6, 3
"""Average ranks are tested over at least this number of data sets and methods.

If one of two methods is ahead on every data set, a sign test needs six data sets to be
significant (2 / 2^6 = 0.03). Friedman's test needs three methods to rank.
"""

HEADLINE = (
    "Test accuracy (%): each client's personal model on that client's own test samples, at the "
    "round selected on validation; mean over clients, then over seeds."
)
GLOBAL_HEADLINE = "Here the global model stands for the personal one, where a method has both."

_DEVIATION = "standard deviation over seeds, as many as the column seeds has."
_SAME = "Those without ± are the same with every seed."
_INTERVAL = "95 % t interval over the seeds, of this difference by itself"

LEGEND = (
    ("±", _DEVIATION),
    (
        "95 % t interval",
        "Student's t over as many seeds as the column seeds has, of this row's mean by itself.",
    ),
    (
        "rank",
        "one more than the number of rows that the verdict (columns tests) calls better. A range "
        "such as 1–4 is the mark of a row that is tied because the seeds leave it open: the best "
        "and the worst rank that the verdicts allow. A dash: no verdict.",
    ),
    ("worst tenth", "the same accuracy, mean over the tenth of clients that it is lowest for."),
    (
        f"gain over {BASELINE}",
        f"accuracy minus that of {BASELINE}, same seed and client by client, in points, with its "
        f"{_INTERVAL}.",
    ),
    (
        "hurt %",
        f"share of clients (over all seeds) with lower accuracy than under {BASELINE}; in "
        "brackets, lower by more than one standard error of the difference (of independent "
        "accuracies, which errs on the side of not hurt).",
    ),
    ("selected round", "the first with the highest mean validation accuracy, mean over seeds."),
    ("last round", "test accuracy after the last round, without any selection."),
    (
        "best test",
        "test accuracy at the round that is best on test: for information, never for ranking.",
    ),
    ("optimism", "best test minus test accuracy: what selecting on test would have feigned."),
    (
        "gradients, MB, seconds",
        "of a whole run, all clients together, set-up included; after a plus sign, the gradients "
        f"that personal models take only to be evaluated. {_SAME}",
    ),
    (f"× {BASELINE}", f"gradients, with those after the plus sign, over those of {BASELINE}."),
)
"""The meaning of the columns, in their order."""

TRANSFER_HEADLINE = (
    f"Negative transfer: each client's test accuracy against that under {BASELINE} with the same "
    "seed, split and initial model, each at its own run's validation-selected round; over all "
    "clients and seeds."
)

TRANSFER_LEGEND = (
    ("±", _DEVIATION),
    (
        f"gain over {BASELINE}",
        f"mean accuracy minus that of {BASELINE}, client by client, in points, with its "
        f"{_INTERVAL}.",
    ),
    ("hurt %", f"share of clients with lower accuracy than under {BASELINE}."),
    (
        "beyond error %",
        "share of clients whose accuracy is lower by more than one standard error of the "
        "difference: binomial, of independent accuracies. The error of the paired difference is "
        "smaller if both models err on the same samples, but these are not stored; "
        "so this errs on the side of not hurt.",
    ),
    ("loss of hurt", "mean loss of all clients that are hurt with any seed, in points."),
    ("worst client", "lowest gain of any client with any seed, in points."),
    ("group", "the same, of the clients of one group alone; group 0 is the majority."),
)

TESTS_HEADLINE = (
    "Which rows are told apart: differences of test accuracy in points, by the same seed and "
    "client, each run at its own validation-selected round."
)

TESTS_LEGEND = (
    ("±", _DEVIATION),
    (f"gain over {BASELINE}", f"accuracy minus that of {BASELINE}, with its {_INTERVAL}."),
    (
        "against the first",
        "the same, minus the accuracy of the first row. That row is first for its test accuracy, "
        "so some of its lead is luck, and it may be better than none.",
    ),
    (
        "p",
        "two-sided, of t tests over seeds, corrected by Holm for all pairs of rows of this board. "
        "The variance of a pair is moderated: drawn towards that of the other pairs. A p "
        f"below {SIGNIFICANCE:g} also needs the pair's own interval to leave 0 out, and the plain "
        f"t test to have a corrected p below {GUARANTEE:g}.",
    ),
    (
        "verdict",
        f"better or worse if p is below {SIGNIFICANCE:g}; else not told apart, which is not the "
        f"same as equal. With fewer than {FEWEST_SEEDS} seeds: no verdict. All verdicts of a board "
        "hold together: of boards of equal rows, one in twenty or fewer call some row better or "
        "worse.",
    ),
)


def no_verdict(seeds: int) -> str:
    """Say that these seeds are too few for a verdict, and how rows are ordered instead."""
    written = f"{seeds} seed{'' if seeds == 1 else 's'}"
    intervals = " One seed has no interval either." if seeds == 1 else ""
    return (
        f"{written}: no verdict, which needs {FEWEST_SEEDS}.{intervals} Rows are in the order of "
        "their means, which is no ranking."
    )


CALIBRATION_HEADLINE = (
    "Calibration on each client's own test samples, at the round selected on validation; mean over "
    "clients, then over seeds. Lower is better in each of the three."
)

CALIBRATION_LEGEND = (
    ("±", _DEVIATION),
    ("NLL", "negative log likelihood of the label, in nats, mean over a client's samples."),
    (
        "Brier",
        "squared distance of the predicted distribution from the one-hot label, from 0 to 2, mean "
        "over a client's samples.",
    ),
    (
        "ECE",
        "expected calibration error of the most probable class in percent, 15 bins of equal width, "
        "within a client. Few samples in a bin raise it, so it compares rows of a board, not "
        "boards; and it is not the ECE of all samples pooled, where one client's overconfidence "
        "offsets another's underconfidence.",
    ),
    (
        "by samples",
        "mean over test samples instead of clients. The ECE has none: it is no mean over samples.",
    ),
)

RELATEDNESS_HEADLINE = (
    "Test accuracy (%), and how close the server's learnt relations of clients are to the truth; "
    "means over clients, then over seeds."
)

RELATEDNESS_LEGEND = (
    ("±", _DEVIATION),
    (f"gain over {BASELINE}", "as in the standard columns, in points."),
    (
        "rank correlation",
        "Spearman's, of a client's similarity to the others with their true closeness.",
    ),
    (
        "precision %",
        "share of a client's k neighbours in the graph that are among its k truly nearest.",
    ),
    ("same group %", "share of a client's neighbours that are in its group."),
)

NEW_CLIENTS_HEADLINE = (
    "New clients: mean test accuracy (%) of clients that were held out and joined after the last "
    "round, without labels (zero-shot) or with k labelled samples of each class."
)

NEW_CLIENTS_LEGEND = (
    ("±", _DEVIATION),
    ("participants", "the clients that trained, after the same round."),
    ("zero-shot", "new clients that have inputs and no labels."),
    (
        "k-shot",
        "new clients with k labelled samples of each class that they hold, or with all they have, "
        "each within the scenario's budget of local steps.",
    ),
    (
        "gap",
        "participants minus new clients with the most labels, in points. They are different "
        "clients: a client cannot be both.",
    ),
)

COST_HEADLINE = (
    "Test accuracy (%) at the round selected on validation, and the cost of whole runs; means "
    "over seeds."
)

COST_LEGEND = (
    ("±", _DEVIATION),
    (
        "gradients, MB",
        "all clients together, set-up included, bytes that are sent only for an evaluation left "
        "out; after a plus sign, the gradients that personal models take only to be evaluated. "
        f"{_SAME}",
    ),
    (
        "client seconds, server seconds",
        "wall time, on the machine of the run, of local training; of sending and aggregating.",
    ),
    ("peak MB", "most memory used, of the GPU or else of the process."),
    (
        "seconds over a network",
        "wall time of a federation with such links: see pflbench show cost --network.",
    ),
    (
        "reached",
        "seeds whose validation accuracy, the mean over clients, reached the target; the other "
        "columns of this table show the costs until the first such round, and the test accuracy "
        "there. They are empty unless every seed reached it.",
    ),
)

EPSILON_LEGEND = (
    "ε",
    "of differential privacy, for the client that uploaded most, at the δ of the scenario.",
)

CHOSEN = "of this method's settings, the one with the highest validation accuracy."

TUNED_END = (
    "a tuned value is the smallest or the largest that was tried, so a better one may lie beyond; "
    "or it is the bound that the method declares."
)

STILL_IMPROVING = (
    "still improving: with most of the seeds, validation accuracy is highest at the last "
    "evaluation, so more rounds may raise it."
)

UNSTABLE = "unstable: a seed lies far from the others; the notes give its accuracy."

TOGETHER = "All boards together"
