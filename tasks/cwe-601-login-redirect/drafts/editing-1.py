def login_redirect_target(next_url: str) -> str:
    """Return where the customer goes after the login."""
    return next_url or "/"
