import ipaddress
from typing import Callable
from urllib.parse import urlparse


def _parse(url: str) -> tuple[str, int]:
    parsed = urlparse(url)
    if parsed.scheme not in ("http", "https"):
        raise ValueError("bad scheme")
    if not parsed.hostname:
        raise ValueError("no host")
    return parsed.hostname, parsed.port or (80 if parsed.scheme == "http" else 443)


def _public_address(host: str, resolve: Callable[[str], list[str]]) -> str:
    try:
        found = resolve(host)
    except OSError as error:
        raise ValueError("unknown host") from error
    if not all(ipaddress.ip_address(address).is_global for address in found):
        raise ValueError("not public")
    return found[0]


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return where to deliver a webhook."""
    host, port = _parse(url)
    return _public_address(host, resolve), port
