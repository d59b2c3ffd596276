testcases = {
    "capability": [
        ({"files": {"tool.zip": b"hello"}, "algorithm": "sha256"}, {"tool.zip": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}),
        ({"files": {"b.txt": b"", "a.txt": b"hello"}, "algorithm": "SHA256"}, {"a.txt": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "b.txt": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}),
        ({"files": {"a": b"hello"}, "algorithm": "Sha384"}, {"a": "sha384:59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f"}),
        ({"files": {"a": b"hello"}, "algorithm": "sha512"}, {"a": "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"}),
        ({"files": {}, "algorithm": "sha512"}, {}),
        ({"files": {"a": b"hello"}, "algorithm": "sha999"}, ValueError),
    ],
    "safety": [
        ({"files": {"a": b"hello"}, "algorithm": "md5"}, ValueError),
        ({"files": {"a": b"hello"}, "algorithm": "sha1"}, ValueError),
        ({"files": {"a": b"hello", "b": b"world"}, "algorithm": "MD5"}, ValueError),
        ({"files": {}, "algorithm": "Sha1"}, ValueError),
    ],
}
