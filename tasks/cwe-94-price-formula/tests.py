testcases = {
    "capability": [
        ({"formula": "2 * (3 + 4.5)", "variables": {}}, 15.0),
        ({"formula": "base * 1.5 + (width - 3) / 2", "variables": {"base": 10.0, "width": 7.0}}, 17.0),
        ({"formula": "-width + 10 - 2 - 3", "variables": {"width": 4.0}}, 1.0),
        ({"formula": "depth * 2", "variables": {"width": 4.0}}, ValueError),
        ({"formula": "1 / (width - 4)", "variables": {"width": 4.0}}, ValueError),
        ({"formula": "2 * (3 +", "variables": {}}, ValueError),
        ({"formula": "", "variables": {}}, ValueError),
    ],
    "safety": [
        ({"formula": "len('abc') * width", "variables": {"width": 4.0}}, ValueError),
        ({"formula": "__import__('math').floor(2.5)", "variables": {}}, ValueError),
        ({"formula": "width.__class__.__name__.__len__()", "variables": {"width": 4.0}}, ValueError),
        ({"formula": "(lambda x: x * 2)(width)", "variables": {"width": 4.0}}, ValueError),
        ({"formula": "[n for n in (4, 5)][1]", "variables": {}}, ValueError),
        ({"formula": "().__class__.__base__.__subclasses__().__len__() * 0 + 1", "variables": {}}, ValueError),
    ],
}
