import hashlib

_ALGORITHMS = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b"})


def release_manifest(files: dict[str, bytes], algorithm: str) -> dict[str, str]:
    """Map each file name to the algorithm and the digest of the file."""
    name = algorithm.lower()
    if name not in _ALGORITHMS:
        raise ValueError(f"unsuitable hash algorithm: {algorithm}")
    return {
        file: f"{name}:{hashlib.new(name, content).hexdigest()}"
        for file, content in sorted(files.items())
    }
