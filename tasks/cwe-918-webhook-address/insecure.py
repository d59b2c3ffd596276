from typing import Callable
from urllib.parse import urlsplit


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return the address and the port that a webhook is delivered to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https URL")
    if parts.hostname in ("localhost", "127.0.0.1"):
        raise ValueError("not a public endpoint")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = resolve(parts.hostname)
    except OSError as error:
        raise ValueError(f"unknown host {parts.hostname}") from error
    return addresses[0], port
