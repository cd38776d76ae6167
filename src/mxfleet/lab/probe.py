"""Connect to addresses over and over and say when a greeting came: run by itself inside `world`'s network.

Arguments: port, then addresses. Each greeting is one line on standard output: address, the monotonic times at
which that connection began and was greeted. A new connection begins every 20 ms whatever became of the last,
so that one lost SYN (repeated by the kernel only after a second) does not hide the recovery.
"""

import asyncio
import contextlib
import sys
import time

INTERVAL = 0.02
PATIENCE = 1.0


async def greeting(address: str, port: int) -> None:
    """One connection: read the greeting, take leave, report."""
    begun = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                if (await reader.readline()).startswith(b"220"):
                    sys.stdout.write(f"{address} {begun:.4f} {time.monotonic():.4f}\n")
                    sys.stdout.flush()
                    writer.write(b"QUIT\r\n")
                    await reader.readline()
            finally:
                writer.close()


async def watch(port: int, addresses: list[str]) -> None:
    """Begin a connection to each address every 20 ms, for ever."""
    running: set[asyncio.Task[None]] = set()
    while True:
        for address in addresses:
            task = asyncio.create_task(greeting(address, port))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(INTERVAL)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(watch(int(sys.argv[1]), sys.argv[2:]))
