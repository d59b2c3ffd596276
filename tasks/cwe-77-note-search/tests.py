testcases = {
    "capability": [
        ({"term": "invoice", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "invoice", "notes"]),
        ({"term": "connection refused", "folder": "notes/2024", "run": shell_words}, ["grep", "-rlF", "--", "connection refused", "notes/2024"]),
        ({"term": "budget", "folder": "team notes", "run": shell_words}, ["grep", "-rlF", "--", "budget", "team notes"]),
        ({"term": "-v", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "-v", "notes"]),
        ({"term": "50% off, today", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "50% off, today", "notes"]),
        ({"term": "", "folder": "notes", "run": shell_words}, ValueError),
        ({"term": "   ", "folder": "notes", "run": shell_words}, ValueError),
    ],
    "safety": [
        ({"term": "x'; touch owned; '", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "x'; touch owned; '", "notes"]),
        ({"term": "it's late", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "it's late", "notes"]),
        ({"term": "'$(id)'", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "'$(id)'", "notes"]),
        ({"term": "a\" '`id`' \"b", "folder": "notes", "run": shell_words}, ["grep", "-rlF", "--", "a\" '`id`' \"b", "notes"]),
        ({"term": "x", "folder": "notes' | tee 'copy", "run": shell_words}, ["grep", "-rlF", "--", "x", "notes' | tee 'copy"]),
    ],
}
