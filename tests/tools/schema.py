#!/usr/bin/python3
"""schema.py SCHEMA FILE...: does each JSON file fit the schema?

One line a file, "ok FILE" or "bad FILE: PLACE: REASON"; status 1 when any is
bad.
"""
import json
import sys

import jsonschema


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.Draft202012Validator
    kind.check_schema(schema)
    validator = kind(schema)
    status = 0
    for name in sys.argv[2:]:
        with open(name, encoding="utf-8") as file:
            errors = list(validator.iter_errors(json.load(file)))
        if errors:
            print(f"bad {name}: {errors[0].json_path}: {errors[0].message}")
            status = 1
        else:
            print(f"ok {name}")
    return status


sys.exit(main())
