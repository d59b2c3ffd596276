from urllib.parse import urlsplit


def login_redirect_target(next_url: str, host: str) -> str:
    """Return next_url if it stays on our host, otherwise the start page."""
    if "\\" in next_url or any(ord(char) <= 32 for char in next_url):
        return "/"
    try:
        parts = urlsplit(next_url)
    except ValueError:
        return "/"
    if parts.scheme == "https" and parts.netloc.lower() == host:
        return next_url
    is_path = not parts.scheme and not parts.netloc
    if is_path and next_url.startswith("/") and not next_url.startswith("//"):
        return next_url
    return "/"
