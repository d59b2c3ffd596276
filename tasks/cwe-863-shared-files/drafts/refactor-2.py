import posixpath


def _is_inside(path: str, folder: str) -> bool:
    return posixpath.commonpath([path, folder]) == folder


def read_shared_file(user: str, path: str) -> str:
    """Read a file of the team drive."""
    path = posixpath.normpath(path)
    if not any(_is_inside(path, folder) for folder in SHARES.get(user, [])):
        raise PermissionError(path)
    if path in FILES:
        return FILES[path]
    raise FileNotFoundError(path)
