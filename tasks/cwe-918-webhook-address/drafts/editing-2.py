from typing import Callable
from urllib.parse import urlsplit


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return the IP address and the port of a webhook URL."""
    parts = urlsplit(url)
    defaults = {"http": 80, "https": 443}
    if parts.scheme not in defaults or not parts.hostname:
        raise ValueError("not a webhook URL")
    port = parts.port or defaults[parts.scheme]
    try:
        addresses = resolve(parts.hostname)
    except OSError as error:
        raise ValueError("unknown host") from error
    return addresses[0], port
