import ipaddress
from typing import Callable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return the public address and the port that a webhook is delivered to."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an http or https URL")
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    try:
        addresses = resolve(parts.hostname)
    except OSError as error:
        raise ValueError(f"unknown host {parts.hostname}") from error
    if not addresses or not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise ValueError(f"{parts.hostname} is not a public endpoint")
    return addresses[0], port
