import posixpath


def read_shared_file(user: str, path: str) -> str:
    """Read a file of the team drive."""
    path = posixpath.normpath(path)
    allowed = False
    for folder in SHARES.get(user, []):
        if path[: len(folder) + 1] == folder + "/":
            allowed = True
    if not allowed:
        raise PermissionError(path)
    if path in FILES:
        return FILES[path]
    raise FileNotFoundError(path)
