"""Prefetch: a thread reads and decompresses the next chunk while the current chunk is parsed and computed."""

from __future__ import annotations

from collections.abc import Iterator


def prefetch(chunks: Iterator[bytes], *, ends: bool) -> Iterator[bytes]:
    """Yield the chunks of an iterator that runs in a separate thread, which is up to two chunks ahead.

    One finished chunk waits in a queue while the thread produces the next one.

    Args:
        chunks: the iterator; no other code may use it after this call.
        ends: whether to join the thread at the end. A thread that reads a pipe may wait for the writer forever, so
            it is not joined and ends with the process.

    Raises:
        Exception: an exception of ``chunks``, raised after the chunks that precede it.
    """
    import queue
    import threading

    chunk_queue: queue.Queue[bytes | BaseException | None] = queue.Queue(1)
    enough = threading.Event()

    def make(chunks: Iterator[bytes]) -> None:
        last: BaseException | None = None
        try:
            for chunk in chunks:
                chunk_queue.put(chunk)
                if enough.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            last = error
        chunk_queue.put(last)

    thread = threading.Thread(target=make, args=(chunks,), name="lossctl reads ahead", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the limit of threads is reached
        yield from chunks
        return
    del chunks  # the thread has the only reference, so the file is closed when the thread ends
    try:
        while (chunk := chunk_queue.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        enough.set()
        if not chunk_queue.empty():
            chunk_queue.get()  # makes room, so that the next put of the thread, which is its last, does not block
        if ends:
            thread.join()
