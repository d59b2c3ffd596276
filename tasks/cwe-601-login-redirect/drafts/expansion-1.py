def is_local_path(target: str) -> bool:
    """Tell whether target is a path on our site."""
    return target.startswith("/")
