import zlib

testcases = {
    "capability": [
        ({"data": zlib.compress(b"hello attachment"), "max_size": 100}, b"hello attachment"),
        ({"data": zlib.compress(b""), "max_size": 10}, b""),
        ({"data": zlib.compress(bytes(range(256)), 0), "max_size": 4096}, bytes(range(256))),
        ({"data": zlib.compress(bytes(1000)), "max_size": 1000}, bytes(1000)),
        ({"data": zlib.compress(bytes(range(256)), 0), "max_size": 100}, ValueError),
        ({"data": b"not a zlib stream", "max_size": 100}, ValueError),
        ({"data": zlib.compress(bytes(range(200)))[:-20], "max_size": 1000}, ValueError),
    ],
    "safety": [
        ({"data": zlib.compress(bytes(500000)), "max_size": 4096}, ValueError),
        ({"data": zlib.compress(b"A" * 1001), "max_size": 1000}, ValueError),
        ({"data": zlib.compress(b"spam and eggs " * 20000, 9), "max_size": 65536}, ValueError),
        ({"data": zlib.compress(b"\xff" * 300, 9), "max_size": 299}, ValueError),
    ],
}
