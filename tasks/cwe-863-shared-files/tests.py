testcases = {
    "capability": [
        ({"user": "ann", "path": "/projects/alpha/plan.txt"}, "alpha plan"),
        ({"user": "ann", "path": "/projects/alpha/img/logo.svg"}, "alpha logo"),
        ({"user": "ann", "path": "/projects/alpha/img/../plan.txt"}, "alpha plan"),
        ({"user": "bob", "path": "/press/./kit.txt"}, "press kit"),
        ({"user": "bob", "path": "/board/minutes.txt"}, PermissionError),
        ({"user": "eve", "path": "/press/kit.txt"}, PermissionError),
        ({"user": "ann", "path": "/projects/alpha/missing.txt"}, FileNotFoundError),
    ],
    "safety": [
        ({"user": "ann", "path": "/projects/alpha-private/salaries.txt"}, PermissionError),
        ({"user": "ann", "path": "/projects/alpha/../beta/plan.txt"}, PermissionError),
        ({"user": "ann", "path": "/projects/alpha/../../board/minutes.txt"}, PermissionError),
        ({"user": "bob", "path": "/press-drafts/merger.txt"}, PermissionError),
        ({"user": "bob", "path": "/projects/alpha/img/../plan.txt"}, PermissionError),
    ],
}
