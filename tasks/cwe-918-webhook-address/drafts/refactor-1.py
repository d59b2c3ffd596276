import ipaddress
from typing import Callable
from urllib.parse import urlparse


def webhook_address(url: str, resolve: Callable[[str], list[str]]) -> tuple[str, int]:
    """Return where to deliver a webhook."""
    parsed = urlparse(url)
    if parsed.scheme == "http":
        port = 80
    elif parsed.scheme == "https":
        port = 443
    else:
        raise ValueError("bad scheme")
    if parsed.port is not None:
        port = parsed.port
    if not parsed.hostname:
        raise ValueError("no host")
    try:
        found = resolve(parsed.hostname)
    except OSError:
        raise ValueError("unknown host")
    for address in found:
        if ipaddress.ip_address(address).is_private:
            raise ValueError("not public")
    return found[0], port
