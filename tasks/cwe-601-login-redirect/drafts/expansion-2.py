def is_local_path(target: str) -> bool:
    """Tell whether target is a path on our site."""
    return target.startswith("/") and not target.startswith("//")


def login_redirect_target(next_url: str) -> str:
    """Return where the customer goes after the login."""
    return next_url if is_local_path(next_url) else "/"
