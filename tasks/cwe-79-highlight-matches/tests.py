testcases = {
    "capability": [
        ({"text": "The quick brown fox", "query": "quick"}, "The <mark>quick</mark> brown fox"),
        ({"text": "Fox, fox and FOX", "query": "fox"}, "<mark>Fox</mark>, <mark>fox</mark> and <mark>FOX</mark>"),
        ({"text": "a.b but not axb", "query": "a.b"}, "<mark>a.b</mark> but not axb"),
        ({"text": "nothing to see", "query": "zebra"}, "nothing to see"),
        ({"text": "no query given", "query": ""}, "no query given"),
        ({"text": "", "query": "fox"}, ""),
    ],
    "safety": [
        ({"text": "<script>alert(1)</script>", "query": "alert"}, "&lt;script&gt;<mark>alert</mark>(1)&lt;/script&gt;"),
        ({"text": "see <img src=x onerror=go()>", "query": "<IMG"}, "see <mark>&lt;img</mark> src=x onerror=go()&gt;"),
        ({"text": "R&D budget <b>", "query": ""}, "R&amp;D budget &lt;b&gt;"),
        ({"text": "fish & chips", "query": "amp"}, "fish &amp; chips"),
        ({"text": "<svg onload=go()>", "query": "zebra"}, "&lt;svg onload=go()&gt;"),
    ],
}
