import posixpath


def load_file(path: str) -> str:
    """Return the content of a file."""
    real_path = posixpath.normpath(path)
    if real_path not in FILES:
        raise FileNotFoundError(path)
    return FILES[real_path]
