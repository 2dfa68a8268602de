"""The processes of ``--cluster local``: a scheduler, and workers that are replaced when they die.

``LocalCluster`` starts this module as a program, in a session of its own. So Ctrl-C at a terminal reaches the main
process alone, nothing that workers print reaches its stdout or stderr, and the scheduler has its own event loop and
log. The program runs until its stdin ends, which the end of the main process brings about, whatever the cause.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lossctl.errors import LossctlError

# Number of workers in a row that may die before they have joined the scheduler.
_ATTEMPTS = 5
# Seconds that the program has for its end.
_HURRY = 1


class LocalCluster:
    """A context with a scheduler and workers of one thread each, on this machine.

    Args:
        workers: number of worker processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __enter__(self) -> Self:
        self._scratch = tempfile.mkdtemp(prefix="lossctl-")
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this module
                [sys.executable, "-m", "lossctl.engine.executors.local_cluster", str(self._workers), self._scratch],
                # Modules of the current folder must not replace those of the standard library; the scheduler of dask
                # writes its locks into the scratch folder, too.
                env={**os.environ, "PYTHONSAFEPATH": "1", "DASK_TEMPORARY_DIRECTORY": self._scratch},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        return self

    def address(self) -> str:
        """Wait until a worker has joined and return the address of the scheduler.

        Raises:
            LossctlError: no worker starts.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise LossctlError("--cluster local: its processes cannot start: too little memory, or too many processes?")
        return line

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_HURRY)
        except subprocess.TimeoutExpired:  # it is still starting, or it is stopped
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.__exit__(kind, error, at)  # closes the pipes and waits
        shutil.rmtree(self._scratch, ignore_errors=True)  # if the program was killed


async def _main(count: int, scratch: str) -> None:
    from distributed import Scheduler

    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        workers: dict[int, asyncio.subprocess.Process] = {}
        tasks = [asyncio.create_task(_keep_worker(scheduler, workers, i, scratch)) for i in range(count)]
        tasks.append(asyncio.create_task(_stdin_ends()))
        announced = asyncio.create_task(_announce(scheduler))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        announced.cancel()
        for worker in workers.values():
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()  # it writes no more files
        shutil.rmtree(scratch, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)  # this process, and processes that a user's loss has started


async def _announce(scheduler: Any) -> None:
    while not scheduler.workers:  # noqa: ASYNC110 - dask has no event for it
        await asyncio.sleep(0.01)
    os.write(1, f"{scheduler.address}\n".encode())


async def _stdin_ends() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


async def _keep_worker(
    scheduler: Any, workers: dict[int, asyncio.subprocess.Process], number: int, scratch: str
) -> None:
    """Start a worker, and another one when it dies; return after ``_ATTEMPTS`` that have not joined the scheduler."""
    failed = 0
    while failed < _ATTEMPTS:
        name = f"{number}-{os.urandom(4).hex()}"
        workers[number] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "distributed.cli.dask_worker", scheduler.address, "--no-nanny", "--no-dashboard"),
            *("--nthreads", "1", "--memory-limit", "0", "--name", name, "--local-directory", scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ended = asyncio.create_task(workers[number].wait())
        joined = False
        while not ended.done():
            await asyncio.wait([ended], timeout=0.1)
            joined = joined or name in scheduler.aliases
        failed = 0 if joined else failed + 1


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
