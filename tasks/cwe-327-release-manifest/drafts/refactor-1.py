import hashlib


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to its digest."""
    algorithm = algorithm.lower()
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise ValueError("unknown or unsuited algorithm")
    manifest = {}
    for name in sorted(files):
        digest = hashlib.new(algorithm)
        digest.update(files[name])
        manifest[name] = algorithm + ":" + digest.hexdigest()
    return manifest
