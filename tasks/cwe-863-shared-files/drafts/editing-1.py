def read_shared_file(user: str, path: str) -> str:
    """Return the content of a file shared with the user."""
    if path not in SHARES.get(user, []):
        raise PermissionError(path)
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]
