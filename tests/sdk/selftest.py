"""Feeds what sign.mjs and sign.py sign to both check modes: accepted as it is, refused with one bit of the body
flipped, and signed as the provider's documentation says. Run it after changing a version.

usage: python3 selftest.py [count] [seed]
"""

import base64
import collections
import hashlib
import hmac
import json
import pathlib
import subprocess
import sys
from urllib.parse import parse_qsl

HERE = pathlib.Path(__file__).parent
NPM = ["node", "--no-warnings", HERE / "sign.mjs"]
PYPI = [HERE / "venv" / "bin" / "python", HERE / "sign.py"]


def run(command, args, given=""):
    done = subprocess.run([*command, *args], input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          encoding="utf-8")
    return [json.loads(line) for line in done.stdout.splitlines()]


def plain(line):
    """The signature as documented, and where in the headers it has to stand. None for ed25519."""
    body, secret = base64.b64decode(line["body_b64"]), line["secret"].encode()
    h = {name: content for name, content in line["headers"]}
    preset = line["preset"]

    def mac(*parts, key=secret, digest="sha256"):
        return hmac.new(key, b"".join(p if isinstance(p, bytes) else p.encode() for p in parts), digest).digest()

    def b64(made):
        return base64.b64encode(made).decode()

    if line["sdk"] == "python nacl":
        return None
    if preset in ("svix", "standard-webhooks"):
        p = "svix" if preset == "svix" else "webhook"
        key = base64.b64decode(line["secret"].removeprefix("whsec_"))
        made = mac(h[f"{p}-id"], ".", h[f"{p}-timestamp"], ".", body, key=key)
        return h[f"{p}-signature"], "v1," + b64(made)
    if preset in ("stripe", "mux", "workos", "paddle", "sanity"):
        header = h[f"{preset}-signature" if preset != "sanity" else "sanity-webhook-signature"]
        at = header.replace(";", ",").split(",")[0].split("=")[1]
        made = mac(at, ":" if preset == "paddle" else ".", body)
        written = base64.urlsafe_b64encode(made).decode().rstrip("=") if preset == "sanity" else made.hex()
        form = {"paddle": "ts={};h1={}", "workos": "t={}, v1={}"}.get(preset, "t={},v1={}")
        return header, form.format(at, written)
    if preset == "slack":
        return h["x-slack-signature"], "v0=" + mac("v0:", h["x-slack-request-timestamp"], ":", body).hex()
    if preset == "hubspot":
        return h["x-hubspot-signature-v3"], b64(mac("POST", line["url"], body, h["x-hubspot-request-timestamp"]))
    if preset == "square":
        return h["x-square-hmacsha256-signature"], b64(mac(line["url"], body))
    if preset == "box":
        return h["box-signature-primary"], b64(mac(body, h["box-delivery-timestamp"]))
    if preset == "twilio":
        if "bodySHA256" in line["url"]:
            assert line["url"].endswith(hashlib.sha256(body).hexdigest())
            fields = []
        else:
            # Of a repeated field each value once: what Twilio's package does.
            fields = sorted(set(parse_qsl(body.decode(), keep_blank_values=True)))
        return h["x-twilio-signature"], b64(mac(line["url"], *(k + v for k, v in fields), digest="sha1"))
    header, form = {
        "github": ("x-hub-signature-256", lambda made: "sha256=" + made.hex()),
        "line": ("x-line-signature", b64),
        "shopify": ("x-shopify-hmac-sha256", b64),
        "razorpay": ("x-razorpay-signature", bytes.hex),
        "gocardless": ("webhook-signature", bytes.hex),
        "pusher": ("x-pusher-signature", bytes.hex),
    }[preset]
    return h[header], form(mac(body))


def flipped(line, number):
    """One bit of the body flipped, or None where there is none, or where the fields of a form stay the same."""
    body = bytearray(base64.b64decode(line["body_b64"]))
    if not body:
        return None
    # A low bit, so that text stays text and JSON often JSON, as an attacker would have it.
    at = number * 7919 % len(body)
    body[at] ^= 1 << number % 4
    if line["url"] and line["preset"] == "twilio" and "bodySHA256" not in line["url"]:
        def fields(b):
            return sorted(parse_qsl(bytes(b).decode(errors="replace"), keep_blank_values=True))
        if fields(body) == fields(base64.b64decode(line["body_b64"])):
            return None
    return {**line, "body_b64": base64.b64encode(body).decode()}


def main():
    count, seed = (sys.argv[1:] + ["60", "1"][len(sys.argv) - 1:])[:2]
    lines = run(NPM, [count, seed]) + run(PYPI, [count, seed])
    wrong = []
    for number, line in enumerate(lines):
        line["id"] = number
        pair = plain(line)
        if pair and pair[0] != pair[1]:
            wrong.append(f"{line['sdk']}: signed {pair[0]}, documented {pair[1]}")
    altered = [f for n, line in enumerate(lines) if (f := flipped(line, n))]
    tally = collections.defaultdict(collections.Counter)
    for command in (NPM, PYPI):
        for sent, expected in ((lines, True), (altered, False)):
            answers = run(command, ["check"], "".join(json.dumps(line) + "\n" for line in sent))
            assert [a["id"] for a in answers] == [line["id"] for line in sent]
            for answer, line in zip(answers, sent):
                if "sdk" not in answer:
                    continue
                key = f"{line['sdk']} -> {answer['sdk']}"
                if "unfit" in answer:
                    tally[key]["unfit"] += 1
                elif answer["accepted"] is expected:
                    tally[key]["accepted" if expected else "refused"] += 1
                else:
                    wrong.append(f"{key}: {'refused as signed' if expected else 'accepted when altered'}: {json.dumps(line)[:400]}")
    for key, counts in sorted(tally.items()):
        print(f"{key}: {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}")
    print("\n".join(wrong) or f"{len(lines)} requests, nothing wrong")
    sys.exit(bool(wrong))


main()
