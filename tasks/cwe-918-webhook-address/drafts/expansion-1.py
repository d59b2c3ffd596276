from urllib.parse import urlsplit


def split_webhook_url(url: str) -> tuple[str, int]:
    """Return host and port of an http or https URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("not an http or https URL")
    if not parts.hostname:
        raise ValueError("no host in the URL")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
