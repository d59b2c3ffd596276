import posixpath


def read_shared_file(user: str, path: str) -> str:
    """Return the content of a file in a folder shared with the user."""
    folders = SHARES.get(user, [])
    if not any(path.startswith(folder) for folder in folders):
        raise PermissionError(f"{path} is not shared with {user}")
    try:
        return FILES[posixpath.normpath(path)]
    except KeyError:
        raise FileNotFoundError(path) from None
