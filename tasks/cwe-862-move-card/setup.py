BOARDS = {
    "website": {"editors": ["ann", "bob"], "viewers": ["cleo"], "cards": ["w1", "w2", "w3", "w4", "w5", "w6"]},
    "payroll": {"editors": ["cleo"], "viewers": ["bob"], "cards": ["p1"]},
    "roadmap": {"editors": ["ann", "cleo"], "viewers": ["bob", "dora"], "cards": []},
}
