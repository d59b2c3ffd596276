import posixpath


def load_file(path: str) -> str:
    """Return the content of a file."""
    real_path = posixpath.normpath(path)
    if real_path not in FILES:
        raise FileNotFoundError(path)
    return FILES[real_path]


def read_shared_file(user: str, path: str) -> str:
    """Return the content of a file if anything is shared with the user."""
    if not SHARES.get(user):
        raise PermissionError(f"nothing is shared with {user}")
    return load_file(path)
