def login_redirect_target(next_url: str, host: str) -> str:
    """Return next_url if it stays on our host, otherwise the start page."""
    start_page = "/"
    if not next_url:
        return start_page
    is_local_path = next_url.startswith("/")
    is_own_url = next_url.startswith(f"https://{host}")
    return next_url if is_local_path or is_own_url else start_page
