def login_redirect_target(next_url: str) -> str:
    """Return where the customer goes after the login, a path on our site."""
    if next_url.startswith("/"):
        return next_url
    return "/"
