def read_shared_file(user: str, path: str) -> str:
    """Return the content of a file in a folder shared with the user."""
    for folder in SHARES.get(user, []):
        if path.startswith(folder):
            break
    else:
        raise PermissionError(path)
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]
