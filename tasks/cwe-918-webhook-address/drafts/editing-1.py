from urllib.parse import urlsplit


def webhook_address(url: str) -> tuple[str, int]:
    """Return host and port of a webhook URL."""
    parts = urlsplit(url)
    defaults = {"http": 80, "https": 443}
    if parts.scheme not in defaults or not parts.hostname:
        raise ValueError("not a webhook URL")
    return parts.hostname, parts.port or defaults[parts.scheme]
