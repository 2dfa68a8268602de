"""Reading ahead: the next chunk is read and decompressed while this one is parsed and computed."""

from __future__ import annotations

from collections.abc import Iterator


def prefetch(chunks: Iterator[bytes], *, ends: bool) -> Iterator[bytes]:
    """The same chunks, made in a thread of their own: one waits, and one is being made.

    Args:
        chunks: what makes them; nobody else may ask it from now on.
        ends: whether the thread is waited for when no more is wanted. One that reads a pipe may wait
            for its writer without end, and is left to end with the process.

    Raises:
        Exception: what making them raised, in its place.
    """
    import queue
    import threading

    made: queue.Queue[bytes | BaseException | None] = queue.Queue(1)
    enough = threading.Event()

    def make(chunks: Iterator[bytes]) -> None:
        last: BaseException | None = None
        try:
            for chunk in chunks:
                made.put(chunk)
                if enough.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the chunk is asked for
            last = error
        made.put(last)

    thread = threading.Thread(target=make, args=(chunks,), name="lossctl reads ahead", daemon=True)
    del chunks  # the thread's alone: with it the file is closed
    thread.start()
    try:
        while (chunk := made.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        enough.set()
        if not made.empty():
            made.get()  # and so the thread's next put, its last, does not wait
        if ends:
            thread.join()
