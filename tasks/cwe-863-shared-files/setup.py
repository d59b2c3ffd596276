SHARES = {
    "ann": ["/projects/alpha"],
    "bob": ["/press", "/projects/alpha/img"],
}
FILES = {
    "/projects/alpha/plan.txt": "alpha plan",
    "/projects/alpha/img/logo.svg": "alpha logo",
    "/projects/alpha-private/salaries.txt": "salaries",
    "/projects/beta/plan.txt": "beta plan",
    "/press/kit.txt": "press kit",
    "/press-drafts/merger.txt": "merger",
    "/board/minutes.txt": "minutes",
}
