"""Executors, which run the tasks of the engine in threads, forked processes or dask workers.

Input: an iterable of tasks, which are callables without arguments, and the settings of a run (``ExecutionConfig``).
Output: an iterator over the results of the tasks in submission order, with a bounded number of tasks in flight. If a
task raises, the results before it are yielded first.

Main classes: ``Executor`` (the interface), ``ExecutionConfig`` (the settings; its method
``executor_for`` selects an executor for one pass), ``Threads`` (the default), ``Processes`` (forked workers, for many
tasks with small results) and ``Cluster`` (workers of dask.distributed).

Read in this order: ``base``, ``threads``, ``config``, ``processes``, ``dask``.
"""
