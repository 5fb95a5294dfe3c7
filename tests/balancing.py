"""A load balancer in front of replicas, as a cluster has one: each connection goes to the next that takes it."""

import asyncio
from contextlib import asynccontextmanager


class Balancer:
    """Use `balanced`. `taken` holds the ports that connections went to, in order."""

    def __init__(self, ports):
        self._ports = list(ports)
        self._connections = set()
        self.taken = []
        self.news = asyncio.Event()
        self.url = ""

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            far = await self._next()
            if far is not None:
                await asyncio.gather(_pass_on(reader, far[1]), _pass_on(far[0], writer))
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            self._connections.discard(task)

    async def _next(self):
        for port in list(self._ports):
            self._ports.append(self._ports.pop(0))
            try:
                far = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.taken.append(port)
            self.news.set()
            return far
        return None

    async def close(self):
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balanced(*ports):
    """A balancer for the block, in the running loop."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    balancer.url = f"grpc://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield balancer
    finally:
        server.close()
        await balancer.close()
