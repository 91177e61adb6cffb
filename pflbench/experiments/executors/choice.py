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
        cluster; "auto": here with one job, else in processes.
    jobs
        Cells that run at a time; None for one, and on a Ray cluster for as many as fit.
    main
        Whether worker processes import the script that starts them, as of `Processes`.
    options
        The options of `RayTasks`.

    Raises
    ------
    InputError
        The executor does not exist, cannot run this number of jobs, or is not installed.
    """
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs = {jobs} is not valid: expected a whole number ≥ 1.")
    if name == "ray":
        from pflbench.experiments.executors.ray import RayTasks  # only if it is installed

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
