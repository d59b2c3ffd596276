import hashlib


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to the algorithm and the digest of the file."""
    if algorithm not in hashlib.algorithms_available:
        raise ValueError(f"no such algorithm: {algorithm}")
    manifest = {}
    for name in sorted(files):
        manifest[name] = f"{algorithm}:{hashlib.new(algorithm, files[name]).hexdigest()}"
    return manifest
