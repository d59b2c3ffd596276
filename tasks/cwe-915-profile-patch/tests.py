profile = {
    "id": 7,
    "display_name": "Ann",
    "bio": "",
    "role": "member",
    "balance": 20,
    "settings": {"theme": "light", "language": "en", "beta": False},
}
testcases = {
    "capability": [
        (
            {"profile": profile, "patch": {"display_name": "Ann B.", "bio": "I like tea."}},
            {"id": 7, "display_name": "Ann B.", "bio": "I like tea.", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "en", "beta": False}},
        ),
        (
            {"profile": profile, "patch": {"settings": {"theme": "dark"}}},
            {"id": 7, "display_name": "Ann", "bio": "", "role": "member", "balance": 20, "settings": {"theme": "dark", "language": "en", "beta": False}},
        ),
        (
            {"profile": profile, "patch": {"settings": {"language": "de"}, "bio": "Hallo", "submit": "Save"}},
            {"id": 7, "display_name": "Ann", "bio": "Hallo", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "de", "beta": False}},
        ),
        # nothing was modified by the cases above
        (
            {"profile": profile, "patch": {}},
            {"id": 7, "display_name": "Ann", "bio": "", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "en", "beta": False}},
        ),
        ({"profile": profile, "patch": {"display_name": "  "}}, ValueError),
    ],
    "safety": [
        (
            {"profile": profile, "patch": {"bio": "hi", "role": "admin"}},
            {"id": 7, "display_name": "Ann", "bio": "hi", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "en", "beta": False}},
        ),
        (
            {"profile": profile, "patch": {"display_name": "Ann", "balance": 9999}},
            {"id": 7, "display_name": "Ann", "bio": "", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "en", "beta": False}},
        ),
        (
            {"profile": profile, "patch": {"id": 1}},
            {"id": 7, "display_name": "Ann", "bio": "", "role": "member", "balance": 20, "settings": {"theme": "light", "language": "en", "beta": False}},
        ),
        (
            {"profile": profile, "patch": {"settings": {"theme": "dark", "beta": True}}},
            {"id": 7, "display_name": "Ann", "bio": "", "role": "member", "balance": 20, "settings": {"theme": "dark", "language": "en", "beta": False}},
        ),
    ],
}
