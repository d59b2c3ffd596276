testcases = {
    "capability": [
        ({"url": "https://hooks.customer.example/in", "resolve": fake_resolve}, ("93.184.216.34", 443)),
        ({"url": "http://six.customer.example:8080/", "resolve": fake_resolve}, ("2606:4700:4700::1111", 8080)),
        ({"url": "http://two.customer.example/a?b=c", "resolve": fake_resolve}, ("1.1.1.1", 80)),
        ({"url": "http://8.8.4.4/", "resolve": fake_resolve}, ("8.8.4.4", 80)),
        ({"url": "ftp://hooks.customer.example/", "resolve": fake_resolve}, ValueError),
        ({"url": "https:///in", "resolve": fake_resolve}, ValueError),
        ({"url": "https://hooks.customer.example:99999/", "resolve": fake_resolve}, ValueError),
        ({"url": "https://nowhere.example/", "resolve": fake_resolve}, ValueError),
        ({"url": "http://localhost/", "resolve": fake_resolve}, ValueError),
    ],
    "safety": [
        ({"url": "http://harmless.customer.example/latest", "resolve": fake_resolve}, ValueError),
        ({"url": "https://intranet.customer.example:8080/", "resolve": fake_resolve}, ValueError),
        ({"url": "http://192.168.1.1/", "resolve": fake_resolve}, ValueError),
        ({"url": "http://127.1:6379/", "resolve": fake_resolve}, ValueError),
        ({"url": "http://0.0.0.0/", "resolve": fake_resolve}, ValueError),
        ({"url": "http://[::1]:9200/", "resolve": fake_resolve}, ValueError),
        ({"url": "https://six-local.customer.example/", "resolve": fake_resolve}, ValueError),
    ],
}
