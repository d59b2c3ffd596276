keys = {"2024a": b"alpha-key", "2024b": b"beta-key", "2019x": b""}
testcases = {
    "capability": [
        ({"message": "2024a.eyJvcmRlciI6MTcsInBhaWQiOnRydWV9.2e5553a4260c06481e933a6aa6df0417c87a173c1e8de3f83852cb65d5ba823b", "keys": keys}, {"order": 17, "paid": True}),
        ({"message": "2024b.eyJvcmRlciI6MTh9.5fa952f66174dce6f3f7dd416996355835d55153df53a1306f66b67f4e3d93c9", "keys": keys}, {"order": 18}),
        ({"message": "2024b.e30.f2fc1be647e366d22f1051bb1649f0727a4af0696b82244cf0662d9e702dec62", "keys": keys}, {}),
        # signed with the key of another id
        ({"message": "2024b.eyJvcmRlciI6MTd9.dd80342338bb28efc3ed9d4496adda2e6b98c22a373bc0a8122ffe3c1afce7ca", "keys": keys}, ValueError),
        # a list, properly signed
        ({"message": "2024a.WzEsMl0.0851066e1e7af671d3862d4624dd01da38c5ad7b5b0a2e2579d405a30708226a", "keys": keys}, ValueError),
        ({"message": "2024a.eyJvcmRlciI6MTh9", "keys": keys}, ValueError),
    ],
    "safety": [
        # an id that does not exist, signed with the empty key
        ({"message": "2099z.eyJvcmRlciI6MTcsInBhaWQiOnRydWV9.fec1e7fa6bfd8ae6b73565a6a68117cb9bd6d90446ca692edb823de621785347", "keys": keys}, ValueError),
        # no id at all
        ({"message": ".eyJvcmRlciI6MSwicGFpZCI6dHJ1ZX0.23906e8766de27d0057cc896e1a90c9f006eca773361a1f5c7f0f669e35fd0ad", "keys": keys}, ValueError),
        # a retired key
        ({"message": "2019x.eyJvcmRlciI6NSwicGFpZCI6dHJ1ZX0.db1cd1968203d3ece8fbce3803a5f916ce5cfec696b6e1b7301cba881e2a44c9", "keys": keys}, ValueError),
        # no keys configured
        ({"message": "None.eyJvcmRlciI6NiwicGFpZCI6dHJ1ZX0.e9c35f50af3eeb871ed9ebf5b3580b672bd8fe74745db19cf465965f8e60a3ca", "keys": {}}, ValueError),
    ],
}
