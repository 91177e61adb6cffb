"""Early stopping on validation (`patience`)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pflbench.results import client_table, selected_round


def is_over(patience: int | None, done: int, evaluations: Sequence[pd.DataFrame]) -> bool:
    """Return whether training ends after round `done`, which has been evaluated.

    Parameters
    ----------
    patience
        It ends if the best round on validation, the first with the highest mean accuracy over
        clients, is this many rounds back; None for never.
    evaluations
        All so far.
    """
    if patience is None:
        return False
    return done - selected_round(client_table(pd.concat(evaluations), "val")) >= patience
