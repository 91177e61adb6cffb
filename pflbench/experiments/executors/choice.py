"""Which executor runs the cells."""

from __future__ import annotations

from typing import Any

from pflbench.errors import InputError, UnknownNameError
from pflbench.experiments.executors.executor import Executor
from pflbench.experiments.executors.in_process import Here

EXECUTORS = ("auto", "here", "processes", "ray")


def make_executor(
    name: str = "auto", jobs: int | None = None, *, main: bool = True, **options: Any
) -> Executor:
    """Return an executor, not yet entered.

    Parameters
    ----------
    name
        "here": in this process; "processes": in worker processes of this machine; "ray": on a Ray
        cluster; "auto": here if there is one job, else in processes.
    jobs
        Cells that run at a time; None for one, and on a Ray cluster for as many as it has room for.
    main
        Whether worker processes import the script that starts them, as of `Processes`.
    options
        Those of `RayTasks`.

    Raises
    ------
    InputError
        No such executor, or it cannot do so many jobs, or it is not installed.
    """
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs = {jobs} is not valid: expected a whole number ≥ 1.")
    if name == "ray":
        from pflbench.experiments.executors.ray import RayTasks  # for those who have it

        return RayTasks(jobs=jobs, **options)
    if name == "here" and (jobs or 1) > 1:
        raise InputError(
            f"--executor here runs one cell at a time, not {jobs}: expected --executor processes, "
            "or --jobs 1."
        )
    if name == "here" or (name == "auto" and (jobs or 1) == 1):
        return Here()
    from pflbench.experiments.executors.worker_processes import Processes

    return Processes(jobs or 1, main=main)
