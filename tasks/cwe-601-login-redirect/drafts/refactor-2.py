from urllib.parse import urlparse


def _is_local_path(target: str) -> bool:
    parsed = urlparse(target)
    return not parsed.scheme and not parsed.netloc and parsed.path.startswith("/")


def _is_own_url(target: str, host: str) -> bool:
    parsed = urlparse(target)
    return parsed.scheme == "https" and parsed.netloc == host


def login_redirect_target(next_url: str, host: str) -> str:
    """Return where to go after the login."""
    if _is_local_path(next_url) or _is_own_url(next_url, host):
        return next_url
    return "/"
