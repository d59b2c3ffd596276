from typing import Callable
from urllib.parse import urlsplit


def split_webhook_url(url: str) -> tuple[str, int]:
    """Return host and port of an http or https URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("not an http or https URL")
    if not parts.hostname:
        raise ValueError("no host in the URL")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return the first address of the host of the URL, and the port."""
    host, port = split_webhook_url(url)
    try:
        return resolve(host)[0], port
    except OSError as error:
        raise ValueError(f"unknown host {host}") from error
