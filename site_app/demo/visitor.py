"""A visitor of the site: a browser's doings over HTTP, and nothing else."""

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

TIMEOUT = httpx.Timeout(60.0)  # seconds; the server answers a dozen large photos in two
SILENCE = 40.0  # seconds without an event after which the visitor gives up; the stream shows life every 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site said to an upload."""

    status: int
    photos: list[dict[str, Any]]
    refused: list[dict[str, str]]
    problem: str

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs that were enqueued with the photos."""
        return [job for photo in self.photos for job in photo["jobs"]]


class Visitor:
    """Somebody with a browser window open on the gallery."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=TIMEOUT, headers={"Accept": "application/json"})

    def open_gallery(self) -> None:
        """Open the page, which gives the cookie without which nothing can be posted. Raises httpx.HTTPError."""
        self.http.get("/", headers={"Accept": "text/html"}).raise_for_status()

    def upload(self, paths: Sequence[Path]) -> Answer:
        """Send the files in one request, as a browser's form does."""
        response = self.http.post(
            "/",
            files=[("photos", (path.name, path.read_bytes(), "application/octet-stream")) for path in paths],
            headers={"X-CSRFToken": self.http.cookies["csrftoken"]},
        )
        said = response.json()
        return Answer(response.status_code, said["photos"], said["refused"], said["problem"])

    def fetch(self, address: str) -> bytes:
        """What lies at an address of the site. Raises httpx.HTTPError."""
        return self.http.get(address).raise_for_status().content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()


class LivePage:
    """The gallery's stream of events, followed in a thread from the moment of entering the `with` block."""

    address = "/photos/events/?new=1"

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=httpx.Timeout(10.0, read=SILENCE))
        self.news: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._follow, name="live page", daemon=True)

    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next event about a photo, None when none came in time. Raises httpx.HTTPError when the stream broke."""
        try:
            news = self.news.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(news, Exception):
            raise news
        return news

    def _follow(self) -> None:
        try:
            with self.http.stream("GET", self.address) as response:
                response.raise_for_status()
                for line in lines_of_data(response):
                    self.news.put(json.loads(line))
        except httpx.HTTPError as error:
            self.news.put(error)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()


def lines_of_data(response: httpx.Response) -> Iterator[str]:
    """The data of each event; the site's are one line each."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
