people = [
    {"id": 1, "name": "Ada Brook", "email": "ada@club.example", "show_email": True},
    {"id": 2, "name": "Ben Cole", "email": "secret.runner@home.example", "show_email": False},
    {"id": 3, "name": "Cleo Dale", "email": "cleo@club.example", "show_email": True},
    {"id": 4, "name": "Dan Brook", "email": "whistle@home.example", "show_email": False},
]
testcases = {
    "capability": [
        ({"people": people, "viewer_id": 1, "query": "cleo"}, [{"name": "Cleo Dale", "email": "cleo@club.example"}]),
        ({"people": people, "viewer_id": 1, "query": "BROOK"}, [{"name": "Ada Brook", "email": "ada@club.example"}, {"name": "Dan Brook", "email": None}]),
        ({"people": people, "viewer_id": 2, "query": "club.example"}, [{"name": "Ada Brook", "email": "ada@club.example"}, {"name": "Cleo Dale", "email": "cleo@club.example"}]),
        ({"people": people, "viewer_id": 2, "query": "secret.runner"}, [{"name": "Ben Cole", "email": "secret.runner@home.example"}]),
        ({"people": people, "viewer_id": 3, "query": "nobody"}, []),
        ({"people": people, "viewer_id": 3, "query": "  "}, ValueError),
    ],
    "safety": [
        ({"people": people, "viewer_id": 1, "query": "secret.runner@home.example"}, []),
        ({"people": people, "viewer_id": 3, "query": "whistle"}, []),
        ({"people": people, "viewer_id": 2, "query": "@home.example"}, [{"name": "Ben Cole", "email": "secret.runner@home.example"}]),
        ({"people": people, "viewer_id": 1, "query": "@"}, [{"name": "Ada Brook", "email": "ada@club.example"}, {"name": "Cleo Dale", "email": "cleo@club.example"}]),
    ],
}
