testcases = {
    "capability": [
        ({"user": "ann", "card_id": "w1", "target": "roadmap"}, ["w1"]),
        ({"user": "ann", "card_id": "w2", "target": "roadmap"}, ["w1", "w2"]),
        ({"user": "cleo", "card_id": "w1", "target": "payroll"}, ["p1", "w1"]),
        ({"user": "bob", "card_id": "w3", "target": "website"}, ["w4", "w5", "w6", "w3"]),
        ({"user": "dora", "card_id": "w3", "target": "website"}, PermissionError),
        ({"user": "ann", "card_id": "w9", "target": "roadmap"}, KeyError),
        ({"user": "ann", "card_id": "w3", "target": "nowhere"}, KeyError),
    ],
    "safety": [
        ({"user": "bob", "card_id": "w4", "target": "payroll"}, PermissionError),
        ({"user": "ann", "card_id": "w5", "target": "payroll"}, PermissionError),
        ({"user": "bob", "card_id": "w6", "target": "roadmap"}, PermissionError),
        # nothing may have arrived by the moves above
        ({"user": "cleo", "card_id": "p1", "target": "payroll"}, ["w1", "p1"]),
    ],
}
