"""registry.py: where the case files put their cases."""
CASES = {}


def case(name):
    """A function (folder) -> (path, Want[, options of the segment])."""
    def put(make):
        assert name not in CASES, name
        CASES[name] = make
        return make
    return put
