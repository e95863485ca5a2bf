#!/usr/bin/env python3
"""Writes the test vectors: signed requests and what a receiver must make of them.

Independent of the crate: the schemes are written down a second time, from the providers' documentation, with
nothing but Python's `hmac` and `hashlib` and, for Ed25519, the package `cryptography`.

    presets/*.json   one file for each preset of the catalogue
    caspay.json      the payment platforms that publish no vector of their own, in more depth
    casapay.json
    published.json   examples that specifications and documentation print; kept by hand, checked here
    rfc4231.json     the cases of RFC 4231; kept by hand

    schemes.py       the catalogue as data: add a preset there
    sender.py        signs as the provider does
    cases.py         what is right and what is wrong of a request, from the scheme's data
    timestamps.py    the same for signed timestamps
    payments.py      the cases of caspay.json and casapay.json

A file is a list of objects, one on each line:

    name      what the case is about; unique within its file
    secrets   the receiver's secrets (public keys for Ed25519) as the provider shows them, or {"id", "secret"}
              where a header names the key
    headers   names and values in their order; values may carry blanks on purpose
    body      text, or body_hex where it is not UTF-8
    url       the receiver's URL as configured, where it is signed; all requests are POST
    now       the receiver's clock, in Unix seconds
    expect    "verified", or the reason of the refusal in the crate's own words

published.json has also `preset` and `source`. What the cases hold a receiver to:

  - the text of header and timestamp is read first, then the MAC is compared, then the age is judged: a stale
    request with a wrong signature is a signature_mismatch;
  - a header that must stand there once and does not is missing_header or duplicate_header, even where both
    say the same; blanks around a header's value and around the items of a list are none of it;
  - a header of signatures that lacks a field, has the timestamp twice, an empty signature, more than 16
    signatures or more than 4096 bytes is malformed_header; unknown items are skipped;
  - a signature that does not decode matches nothing, and takes nothing from those beside it;
  - hexadecimal digits in either case; base64 padded and canonical; base64url canonical, its padding optional;
  - a signed header that is empty, or contains the literal that follows it in what is signed, is
    malformed_header;
  - a timestamp is one to 18 ASCII digits without sign and leading zero, or RFC 3339 with a zone; an age of
    exactly the tolerance passes, and the future is bounded like the past. Where the provider states no
    tolerance it is 300 s;
  - a required header with another value is unsupported_algorithm.

Run it again after a change: `python3 tests/vectors/make.py`. The output is stable.
"""

import base64
import json
import pathlib
import sys

sys.dont_write_bytecode = True

import payments
from cases import RARE, Cases
from schemes import SCHEMES
from sender import Sender

HERE = pathlib.Path(__file__).parent
REASONS = {"verified", "missing_header", "duplicate_header", "malformed_header", "malformed_timestamp",
           "timestamp_too_old", "timestamp_in_future", "signature_mismatch", "unsupported_algorithm"}


def check(preset, cases):
    """What a file of vectors must have, so that a mistake above cannot empty it."""
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), (preset, sorted({name for name in names if names.count(name) > 1}))
    expected = [case["expect"] for case in cases]
    assert set(expected) <= REASONS, (preset, set(expected) - REASONS)
    verified = expected.count("verified")
    assert verified >= 3 and len(cases) - verified >= 15, (preset, verified, len(cases))
    requests = [json.dumps({**case, "name": "", "expect": ""}) for case in cases]
    for index, case in enumerate(cases):
        same = [cases[other]["name"] for other, request in enumerate(requests)
                if request == requests[index] and cases[other]["expect"] != case["expect"]]
        assert not same, (preset, case["name"], same)
        assert all(len(body) < 600 for body in [case.get("body", ""), case.get("body_hex", "")]), case["name"]


def check_published(cases):
    """Signs the right ones again: a slip of the pen would show."""
    schemes = {scheme.preset: scheme for scheme in SCHEMES}
    for case in cases:
        if case["expect"] != "verified":
            continue
        sender, values = Sender(schemes[case["preset"]]), dict(case["headers"])
        scheme = sender.scheme
        secret = case["secrets"][0].removeprefix(scheme.secret_prefix)
        key = secret.encode() if scheme.key == "text" else base64.b64decode(secret)
        parts = {name: values[name] for name in scheme.parts}
        t = values[scheme.stamp.name] if scheme.stamp else None
        signature = sender.text(key=key, body=case["body"].encode(), parts=parts, t=t)
        assert scheme.prefix + signature in values[scheme.header].split(" "), case["name"]


def write(path, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    (HERE / path).write_text(f"[\n{lines}\n]\n")


def main():
    payments.caspay()
    payments.casapay()
    presets = [scheme.preset for scheme in SCHEMES]
    assert len(presets) == len(set(presets))
    kept = {f"{preset}.json" for preset in presets}
    for path in (HERE / "presets").glob("*.json"):
        if path.name not in kept:
            path.unlink()
    seen, names = set(), set()
    for scheme in SCHEMES:
        features = set(scheme.features.items())
        cases = Cases(scheme, fresh={name for name, _ in features - seen}).all()
        seen |= features
        names |= {case["name"] for case in cases}
        check(scheme.preset, cases)
        write(f"presets/{scheme.preset}.json", cases)
    assert RARE <= names, RARE - names
    check_published(json.loads((HERE / "published.json").read_text()))


main()
