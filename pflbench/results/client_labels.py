"""Names of clients in a stored run's data."""

from __future__ import annotations

from pflbench.results.stored import StoredRun


def stored_names(run: StoredRun) -> dict[int, str]:
    """Return the names of a run's clients by number, without unnamed clients.

    Runs of earlier versions, and of data that do not name their clients, have none.
    """
    if not run.has_table("clients"):
        return {}
    columns = run.arrow("clients")
    if not {"client", "name"} <= set(columns.column_names):
        return {}
    pairs = zip(columns["client"].to_pylist(), columns["name"].to_pylist(), strict=True)
    return {int(client): str(name) for client, name in pairs if name}
