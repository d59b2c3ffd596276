import posixpath


def read_shared_file(user: str, path: str) -> str:
    """Return the content of a file in a folder shared with the user."""
    real_path = posixpath.normpath(path)
    folders = SHARES.get(user, [])
    if not any(real_path.startswith(folder + "/") for folder in folders):
        raise PermissionError(f"{path} is not shared with {user}")
    if real_path not in FILES:
        raise FileNotFoundError(path)
    return FILES[real_path]
