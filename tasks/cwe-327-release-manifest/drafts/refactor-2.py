import hashlib


def _checked_algorithm(algorithm: str) -> str:
    algorithm = algorithm.lower()
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise ValueError("unknown or unsuited algorithm")
    return algorithm


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to its digest."""
    name = _checked_algorithm(algorithm)
    manifest = {}
    for file in sorted(files):
        manifest[file] = name + ":" + hashlib.new(name, files[file]).hexdigest()
    return manifest
