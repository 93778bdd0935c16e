"""The web server: uvicorn, told to end the live pages first when it shall stop.

Usage   python -m site_app.web [--host 127.0.0.1] [--port 8000 | --fd N]
        --fd N   serve on a socket a parent process opened, which therefore knows the port (site_app.run, site_app.demo)
"""

import argparse
import asyncio
import socket

import uvicorn

from queue_tasks.news import close_news
from site_app.live.hub import close_hub


class Server(uvicorn.Server):
    """uvicorn waits for open responses before it stops, and a live page's response never ends by itself."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the live pages, then stop as always."""
        await close_hub()
        await asyncio.to_thread(close_news)
        await super().shutdown(sockets)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m site_app.web", description="Serve the reference site.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="serve on this open socket")
    options = parser.parse_args()
    config = uvicorn.Config(
        "site_app.asgi:application",
        host=options.host,
        port=options.port,
        log_level="warning",
        lifespan="off",  # Django has no part in it
        timeout_graceful_shutdown=5,
    )
    sockets = None if options.fd is None else [socket.socket(fileno=options.fd)]
    try:
        Server(config).run(sockets=sockets)
    except KeyboardInterrupt:
        pass  # uvicorn has stopped in good order, and passes Ctrl-C on


if __name__ == "__main__":
    main()
