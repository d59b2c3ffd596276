import hashlib


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to the algorithm and the digest of the file."""
    name = algorithm.lower()
    if name not in hashlib.algorithms_available:
        raise ValueError(f"unknown hash algorithm: {algorithm}")
    return {
        file: f"{name}:{hashlib.new(name, content).hexdigest()}"
        for file, content in sorted(files.items())
    }
