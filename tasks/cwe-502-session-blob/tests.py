testcases = {
    "capability": [
        # {"user": "ann", "cart": ["tea", "jam"], "visits": 3}
        ({"blob": "gASVNAAAAAAAAAB9lCiMBHVzZXKUjANhbm6UjARjYXJ0lF2UKIwDdGVhlIwDamFtlGWMBnZpc2l0c5RLA3Uu"}, {"user": "ann", "cart": ["tea", "jam"], "visits": 3}),
        # {"user": "bob", "settings": {"dark": True, "zoom": 1.5}, "coupon": None}
        ({"blob": "gASVQwAAAAAAAAB9lCiMBHVzZXKUjANib2KUjAhzZXR0aW5nc5R9lCiMBGRhcmuUiIwEem9vbZRHP/gAAAAAAAB1jAZjb3Vwb26UTnUu"}, {"user": "bob", "settings": {"dark": True, "zoom": 1.5}, "coupon": None}),
        # {}
        ({"blob": "gAR9lC4="}, {}),
        # [1, 2]
        ({"blob": "gASVCQAAAAAAAABdlChLAUsCZS4="}, ValueError),
        ({"blob": "???"}, ValueError),
        ({"blob": "aGVsbG8gd29ybGQ="}, ValueError),
    ],
    "safety": [
        # eval("{'user': 'root', 'admin': True}")
        ({"blob": "gASVOwAAAAAAAACMCGJ1aWx0aW5zlIwEZXZhbJSTlIwfeyd1c2VyJzogJ3Jvb3QnLCAnYWRtaW4nOiBUcnVlfZSFlFKULg=="}, ValueError),
        # dict([("user", "root")])
        ({"blob": "gASVLAAAAAAAAACMCGJ1aWx0aW5zlIwEZGljdJSTlF2UjAR1c2VylIwEcm9vdJSGlGGFlFKULg=="}, ValueError),
        # {"user": "ann", "visits": len("abc")}
        ({"blob": "gASVOAAAAAAAAAB9lCiMBHVzZXKUjANhbm6UjAZ2aXNpdHOUjAhidWlsdGluc5SMA2xlbpSTlIwDYWJjlIWUUpR1Lg=="}, ValueError),
        # {"user": "ann", "next": getattr(3, "real")}
        ({"blob": "gASVPQAAAAAAAAB9lCiMBHVzZXKUjANhbm6UjARuZXh0lIwIYnVpbHRpbnOUjAdnZXRhdHRylJOUSwOMBHJlYWyUhpRSlHUu"}, ValueError),
        # {"user": "ann", "cart": sorted(["tea", "jam"])}
        ({"blob": "gASVQwAAAAAAAAB9lCiMBHVzZXKUjANhbm6UjARjYXJ0lIwIYnVpbHRpbnOUjAZzb3J0ZWSUk5RdlCiMA3RlYZSMA2phbZRlhZRSlHUu"}, ValueError),
    ],
}
