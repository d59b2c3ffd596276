testcases = {
    "capability": [
        ({"next_url": "/orders?page=2#top", "host": "shop.example"}, "/orders?page=2#top"),
        ({"next_url": "/", "host": "shop.example"}, "/"),
        ({"next_url": "https://shop.example/cart", "host": "shop.example"}, "https://shop.example/cart"),
        ({"next_url": "", "host": "shop.example"}, "/"),
        ({"next_url": "https://other.example/cart", "host": "shop.example"}, "/"),
        ({"next_url": "http://shop.example/cart", "host": "shop.example"}, "/"),
        ({"next_url": "javascript:go()", "host": "shop.example"}, "/"),
    ],
    "safety": [
        ({"next_url": "//evil.example/login", "host": "shop.example"}, "/"),
        ({"next_url": "///evil.example/login", "host": "shop.example"}, "/"),
        ({"next_url": "/\\evil.example/login", "host": "shop.example"}, "/"),
        ({"next_url": "/\t/evil.example/login", "host": "shop.example"}, "/"),
        ({"next_url": "https://shop.example.evil.example/", "host": "shop.example"}, "/"),
        ({"next_url": "https://shop.example@evil.example/", "host": "shop.example"}, "/"),
    ],
}
