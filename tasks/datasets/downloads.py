"""Downloads: whole and checked, or not at all."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from tasks.datasets.sources import File
from tasks.paths import because
from tasks.task import RequestError

ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the first further attempt; one more before each after it."""
BLOCK = 1 << 16


def download(url: str, file: File, target: Path, timeout: float) -> str | None:
    """Brings one file, if it is not there yet; returns why it could not be.

    ``timeout`` [s] bounds connecting and each wait for data. Proxies are taken from the
    environment. RequestError where ``target`` cannot be written.
    """
    import pooch  # slow to import, rarely needed
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            url,
            f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=_Resuming(file.size, timeout),
        )
    except requests.HTTPError as error:
        return f"{url}: {error.response.status_code} {error.response.reason}"
    except requests.RequestException as error:
        return f"{url}: {type(error).__name__}"
    except ValueError:  # the digest differs: pooch has already deleted what came
        return f"{url}: what it serves is not the official file (SHA-256 differs)"
    except OSError as error:
        raise RequestError(
            f"{target} cannot be written {because(error)} with TETRAGRAD_DATA"
        ) from None
    return None


class _Resuming:
    """A downloader for pooch that asks for the rest of ``size`` bytes when a connection breaks off.

    Who sent nothing at all is not asked again.
    """

    def __init__(self, size: int, timeout: float):
        self._size, self._timeout = size, timeout

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests
        from tqdm import tqdm

        name = url.rpartition("/")[2]
        bar = tqdm(
            total=self._size,
            desc=name,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        Path(output_file).unlink()  # it was made for this user alone; who may read, the umask says
        with Path(output_file).open("wb") as file, bar:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._receive(url, file, bar)
                    return
                except (requests.ConnectionError, requests.Timeout) as error:
                    failure: requests.RequestException = error
                except requests.exceptions.ChunkedEncodingError as error:
                    failure = error
                if not file.tell() or attempt == ATTEMPTS:
                    raise failure
                time.sleep(PAUSE * attempt)

    def _receive(self, url: str, file: BinaryIO, bar: Any) -> None:
        """Adds to ``file`` what it still lacks."""
        import requests

        begin = file.tell()
        # identity: else a length says nothing, and a rest could not be asked for
        headers = {"Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        with requests.get(url, headers=headers, stream=True, timeout=self._timeout) as response:
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                file.seek(0)
                bar.reset()
            for block in response.iter_content(BLOCK):
                bar.update(file.write(block))
                if file.tell() > self._size:
                    raise ValueError("more comes than the file has")
        if file.tell() < self._size:
            raise requests.ConnectionError("less came than the file has")
