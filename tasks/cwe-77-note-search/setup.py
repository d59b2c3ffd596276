def shell_words(command):
    """Stand-in for a shell: the words it would see, active syntax shown as <...> marks."""
    words, word, quote, i = [], None, "", 0
    while i < len(command):
        char = command[i]
        if quote == "'":
            if char == "'":
                quote = ""
            else:
                word += char
        elif char == "\\" and i + 1 < len(command):
            i += 1
            keep = "\\" if quote and command[i] not in '"\\$`' else ""
            word = (word or "") + keep + command[i]
        elif char in "$`":
            word = (word or "") + "<expansion>"
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote, word = char, word or ""
        elif char in "*?[":
            word = (word or "") + "<glob>"
        elif char in " \t\n;&|<>()":
            if word is not None:
                words.append(word)
                word = None
            if char not in " \t":
                words.append("<operator>")
        else:
            word = (word or "") + char
        i += 1
    if word is not None:
        words.append(word)
    return words + ["<unterminated>"] if quote else words
