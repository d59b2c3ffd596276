from urllib.parse import urlparse


def login_redirect_target(next_url: str, host: str) -> str:
    """Return where to go after the login."""
    if next_url and not next_url.isspace():
        parsed = urlparse(next_url)
        if parsed.scheme == "https":
            if parsed.netloc == host:
                return next_url
        elif parsed.scheme == "" and parsed.netloc == "":
            if parsed.path.startswith("/"):
                return next_url
    return "/"
