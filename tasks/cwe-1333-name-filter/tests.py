testcases = {
    "capability": [
        ({"pattern": "*.txt", "names": ["a.txt", "b.pdf", "ctxt", "d.txt"]}, ["a.txt", "d.txt"]),
        ({"pattern": "*2024*.txt", "names": ["tax 2024.txt", "2024.txt", "2023.txt", "2024.txt.old"]}, ["tax 2024.txt", "2024.txt"]),
        ({"pattern": "report*", "names": ["report", "report-1", "my report", "Report"]}, ["report", "report-1"]),
        ({"pattern": "notes.md", "names": ["notes.md", "notesxmd", "notes.md~"]}, ["notes.md"]),
        ({"pattern": "ab*ba", "names": ["aba", "abba", "ab-ba"]}, ["abba", "ab-ba"]),
        ({"pattern": "*", "names": ["x", "y z"]}, ["x", "y z"]),
        ({"pattern": "", "names": ["x"]}, ValueError),
    ],
    "safety": [
        ({"pattern": "(a+)+b", "names": ["aaaaaaaaaaaaaaaaa", "aab", "(a+)+b"]}, ["(a+)+b"]),
        ({"pattern": "(x+x+)+y", "names": ["xxxxxxxxxxxxxx", "xxxy", "(x+x+)+y"]}, ["(x+x+)+y"]),
        ({"pattern": "(\\w+)+$", "names": ["photos", "(\\w+)+$", "aaaaaaaaaaaaaa!"]}, ["(\\w+)+$"]),
        ({"pattern": "*(copy)", "names": ["plan (copy)", "plan copy", "copy"]}, ["plan (copy)"]),
        ({"pattern": "c++*(draft", "names": ["c++ notes (draft", "ccc (draft"]}, ["c++ notes (draft"]),
    ],
}
