account = {"name": "Ann", "address": {"street": "Old Lane 1", "city": "Bern"}}
testcases = {
    "capability": [
        (
            {"cookies": {"csrf_token": "f3a9c1"}, "form": {"csrf_token": "f3a9c1", "street": "New Road 2", "city": "Basel"}, "account": account},
            {"name": "Ann", "address": {"street": "New Road 2", "city": "Basel"}},
        ),
        (
            {"cookies": {"csrf_token": "77", "theme": "dark"}, "form": {"csrf_token": "77", "street": " Mill 3 ", "city": "Ulm "}, "account": {"name": "Bob"}},
            {"name": "Bob", "address": {"street": "Mill 3", "city": "Ulm"}},
        ),
        ({"cookies": {"csrf_token": "f3a9c1"}, "form": {"csrf_token": "f3a9c1", "street": "  ", "city": "Basel"}, "account": account}, ValueError),
        ({"cookies": {"csrf_token": "f3a9c1"}, "form": {"csrf_token": "f3a9c1", "street": "Mill 3", "city": ""}, "account": account}, ValueError),
        ({"cookies": {"csrf_token": "f3a9c1"}, "form": {"csrf_token": "000000", "street": "Mill 3", "city": "Ulm"}, "account": account}, PermissionError),
    ],
    "safety": [
        ({"cookies": {}, "form": {"street": "Evil 6", "city": "Ulm"}, "account": account}, PermissionError),
        ({"cookies": {"csrf_token": ""}, "form": {"csrf_token": "", "street": "Evil 6", "city": "Ulm"}, "account": account}, PermissionError),
        ({"cookies": {"theme": "dark"}, "form": {"csrf_token": "", "street": "Evil 6", "city": "Ulm"}, "account": account}, PermissionError),
        ({"cookies": {"csrf_token": ""}, "form": {"street": "Evil 6", "city": "Ulm"}, "account": account}, PermissionError),
    ],
}
