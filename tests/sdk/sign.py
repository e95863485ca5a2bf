"""Signs random requests with providers' PyPI packages, and asks the same packages to check requests that somebody
else signed. See README.md for the two modes and the shape of a line."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import sys
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace

import discord_interactions
import nacl.signing
import slack_sdk.signature
import square.utils.webhooks_helper as square_helper
import stripe
import svix.webhooks
import standardwebhooks.webhooks as standard
from hubspot.exceptions import InvalidSignatureTimestampError
from hubspot.utils.signature import Signature

# ---- the clock: several of them compare with the present time and take no other ----

clock = 0


class FakeDatetime(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(clock, tz)


standard.datetime = FakeDatetime
import_module("hubspot.utils.signature").datetime = FakeDatetime
import_module("stripe._webhook").time = SimpleNamespace(time=lambda: clock)
SLACK_CLOCK = SimpleNamespace(now=lambda: clock)

# ---- random values, the same for the same seed on every machine and in every version of Python ----


class Random:
    def __init__(self, seed):
        self.seed, self.counter, self.pool = seed, 0, b""

    def bytes(self, n):
        while len(self.pool) < n:
            self.pool += hashlib.sha256(f"{self.seed}|{self.counter}".encode()).digest()
            self.counter += 1
        taken, self.pool = self.pool[:n], self.pool[n:]
        return taken

    def below(self, n):
        return int.from_bytes(self.bytes(4), "big") % n

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def of(self, choices):
        return choices[self.below(len(choices))]

    def letters(self, n, alphabet):
        return "".join(self.of(alphabet) for _ in range(n))


HEX = "0123456789abcdef"
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
PRINTABLE = ALNUM + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
PIECES = ["a", "Z", "7", " ", '"', "\\", "/", "\n", "\r\n", "\t", "\0", "\x1f", "\x7f", "é", "ß", "Ω", "中", "\u2028",
          "\ufeff", "\ufffd", "😀", "👩‍💻", "مرحبا", "&", "=", "+", "%41", "<", ".", ":", ",", ";", "{", "}"]


def whsec(r):
    return "whsec_" + base64.b64encode(r.bytes(r.between(24, 64))).decode()


def text(r, most):
    return "".join(r.of(PIECES) for _ in range(r.below(most)))


def value(r, depth):
    kind = r.below(8 if depth > 0 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return r.below(2) == 1
    if kind == 2:
        return r.between(-10**6, 10**6)
    if kind == 3:
        return r.below(10**6) / 1024
    if kind < 6:
        return text(r, 12)
    if kind == 6:
        return [value(r, depth - 1) for _ in range(r.below(4))]
    return mapping(r, depth - 1)


def mapping(r, depth):
    return {"k" + text(r, 3): value(r, depth) for _ in range(r.between(1, 5))}


KINDS = 9


def make_body(r, kind, empty, raw):
    """`empty` and `raw` (not UTF-8) say whether the package can be handed such a body at all."""
    sized = {2: 1, 3: 63, 4: 64, 5: 65}.get(kind)
    if kind == 1 and empty:
        return b""
    if sized:
        return r.bytes(sized) if raw and r.below(2) else r.letters(sized, PRINTABLE).encode()
    if kind == 7:
        return ("x" + text(r, 200)).encode()
    if kind == 8 and raw:
        return r.bytes(r.between(1, 2000))
    if kind == 6:
        items = []
        while len(json.dumps(items)) < 2000 + 500 * (len(items) % 8):
            items.append(mapping(r, 3))
        return json.dumps(items, ensure_ascii=False).encode()
    made = {"id": "evt_" + r.letters(20, ALNUM), **mapping(r, 3)}
    written = r.of([
        lambda: json.dumps(made, ensure_ascii=False, separators=(",", ":")),
        lambda: json.dumps(made),
        lambda: json.dumps(made, ensure_ascii=False, indent=2),
        lambda: json.dumps(made, indent="\t").replace("\n", "\r\n"),
        lambda: json.dumps(made, ensure_ascii=False).replace("/", "\\/"),
        lambda: " " + json.dumps(made, ensure_ascii=False) + "\n",
    ])()
    return written.encode()


# ---- the packages: `sign` and `check` take the request `q`, whose body is text unless `raw` ----


class Stripe:
    pypi, preset, empty, raw = "stripe", "stripe", True, False

    def sign(self, r, q):
        q.secret = "whsec_" + r.letters(32, ALNUM)
        q.headers = [["stripe-signature",
                      stripe.WebhookSignature.generate_signature_header(q.body, q.secret, q.seconds)]]

    def check(self, q):
        try:
            return stripe.WebhookSignature.verify_header(q.body, q.headers["stripe-signature"], q.secret, 300)
        except stripe.SignatureVerificationError:
            return False


class StandardLike:
    """Both take ids and timestamps from headers; svix-python wraps standardwebhooks."""

    empty, raw = True, False

    def __init__(self, pypi, preset, prefix, webhook):
        self.pypi, self.preset, self.prefix, self.webhook = pypi, preset, prefix, webhook

    def sign(self, r, q):
        q.secret = whsec(r)
        id = "msg_" + r.letters(27, ALNUM)
        at = datetime.fromtimestamp(q.seconds, timezone.utc)
        q.headers = [[f"{self.prefix}-id", id], [f"{self.prefix}-timestamp", str(q.seconds)],
                     [f"{self.prefix}-signature", self.webhook(q.secret).sign(id, at, q.body)]]

    def unfit(self, q):
        return "ed25519 is not implemented" if q.secret.startswith("whpk_") else None

    def check(self, q):
        try:
            self.webhook(q.secret).verify(q.body, q.headers)
        except json.JSONDecodeError:
            pass  # It parses once the signature holds: nothing against the signature.
        except Exception:
            return False  # Its own error, or binascii's and ValueError for a header that it cannot split.
        return True


class Slack:
    pypi, preset, empty, raw = "slack-sdk", "slack", True, False

    def sign(self, r, q):
        q.secret = r.letters(32, HEX)
        verifier = slack_sdk.signature.SignatureVerifier(q.secret)
        q.headers = [["x-slack-request-timestamp", str(q.seconds)],
                     ["x-slack-signature", verifier.generate_signature(timestamp=str(q.seconds), body=q.body)]]

    def check(self, q):
        verifier = slack_sdk.signature.SignatureVerifier(q.secret, SLACK_CLOCK)
        try:
            return verifier.is_valid_request(q.body, q.headers)
        except ValueError:
            return False  # A timestamp that is no number.


class HubSpot:
    pypi, preset, empty, raw = "hubspot-api-client", "hubspot", True, False

    def sign(self, r, q):
        q.secret = r.letters(32, HEX)
        q.url = make_url(r)
        q.headers = [["x-hubspot-request-timestamp", str(q.millis)],
                     ["x-hubspot-signature-v3",
                      Signature.get_signature(q.secret, q.body, "v3", q.url, "POST", str(q.millis))]]

    def unfit(self, q):
        return None if q.url else "needs the url"

    def check(self, q):
        try:
            return Signature.is_valid(q.headers["x-hubspot-signature-v3"], q.secret, q.body, q.url, "POST", "v3",
                                      q.headers["x-hubspot-request-timestamp"])
        except InvalidSignatureTimestampError:
            return False


class Square:
    """Verifies only. Signing runs the verifier with a wrong signature and takes what it compares that with."""

    pypi, preset, empty, raw = "squareup", "square", False, False

    def verify(self, q, signature):
        return square_helper.verify_signature(request_body=q.body, signature_header=signature, signature_key=q.secret,
                                              notification_url=q.url)

    def sign(self, r, q):
        q.secret = r.letters(22, ALNUM + "-_")
        q.url = make_url(r)
        seen = []
        square_helper.hmac = SimpleNamespace(new=hmac.new, compare_digest=lambda right, given: seen.append(right))
        try:
            self.verify(q, "")
        finally:
            square_helper.hmac = hmac
        q.headers = [["x-square-hmacsha256-signature", seen[0].decode()]]

    def unfit(self, q):
        return None if q.url else "needs the url"

    def check(self, q):
        return self.verify(q, q.headers["x-square-hmacsha256-signature"])


class Discord:
    """Verifies only. There is no taking a signature from a verifier of public keys, so PyNaCl signs: no package of
    the provider's. The secret of a line is the public key, which is what a receiver has."""

    pypi, preset, empty, raw = "discord-interactions", "discord", True, True
    signer = "python nacl"

    def sign(self, r, q):
        key = nacl.signing.SigningKey(r.bytes(32))
        q.secret = key.verify_key.encode().hex()
        q.headers = [["x-signature-timestamp", str(q.seconds)],
                     ["x-signature-ed25519", key.sign(str(q.seconds).encode() + q.body).signature.hex()]]

    def check(self, q):
        return discord_interactions.verify_key(q.body, q.headers["x-signature-ed25519"],
                                               q.headers["x-signature-timestamp"], q.secret)


class StandardEd25519:
    """`v1a` of Standard Webhooks, which neither package implements. The secret is the public key."""

    pypi, preset, empty, raw = None, "standard-webhooks", True, True
    signer = "python nacl"

    def sign(self, r, q):
        key = nacl.signing.SigningKey(r.bytes(32))
        q.secret = "whpk_" + base64.b64encode(key.verify_key.encode()).decode()
        id = "msg_" + r.letters(27, ALNUM)
        signed = key.sign(f"{id}.{q.seconds}.".encode() + q.body).signature
        q.headers = [["webhook-id", id], ["webhook-timestamp", str(q.seconds)],
                     ["webhook-signature", "v1a," + base64.b64encode(signed).decode()]]


def make_url(r):
    return f"https://hooks.example.com/{r.letters(8, ALNUM)}/in" + r.of(["", "?a=1", "?tenant=" + r.letters(32, HEX)])


SDKS = [
    Stripe(),
    StandardLike("svix", "svix", "svix", svix.webhooks.Webhook),
    StandardLike("standardwebhooks", "standard-webhooks", "webhook", standard.Webhook),
    Slack(),
    HubSpot(),
    Square(),
    Discord(),
    StandardEd25519(),
]


def name_of(sdk):
    return f"{sdk.pypi} (PyPI {version(sdk.pypi)})"


def sign_all(count, seed, out):
    global clock
    for sdk in SDKS:
        name = getattr(sdk, "signer", None) or name_of(sdk)
        # Seeded by package, so that adding one leaves the others' requests as they were.
        r = Random(f"{seed}|{type(sdk).__name__}|{sdk.preset}")
        for i in range(count):
            body = make_body(r, i % KINDS, sdk.empty, sdk.raw)
            clock = now = 1700000000 + r.below(50000000)
            q = SimpleNamespace(body=body if sdk.raw else body.decode(), seconds=now - r.between(0, 120), url=None)
            q.millis = q.seconds * 1000 + (r.below(1000) if q.seconds < now else 0)
            sdk.sign(r, q)
            line = {"sdk": name, "preset": sdk.preset, "secret": q.secret,
                    "headers": [["content-type", "application/json"], *q.headers],
                    "body_b64": base64.b64encode(body).decode(), "now": now, "url": q.url}
            print(json.dumps(line), file=out)


def check_line(line):
    global clock
    answer = {"id": line["id"], "accepted": False}
    sdk = next((s for s in SDKS if s.preset == line["preset"]), None)
    if sdk is None:
        return {**answer, "unfit": f"no PyPI package for {line['preset']}"}
    answer["sdk"] = name_of(sdk)
    q = SimpleNamespace(secret=line["secret"], url=line["url"], body=base64.b64decode(line["body_b64"]), headers={})
    for header, content in line["headers"]:
        key = header.lower()
        q.headers[key] = f"{q.headers[key]}, {content}" if key in q.headers else content
    unfit = sdk.unfit(q) if hasattr(sdk, "unfit") else None
    if not q.body and not sdk.empty:
        unfit = "empty body"
    if not sdk.raw:
        try:
            q.body = q.body.decode()
        except UnicodeDecodeError:
            unfit = "not UTF-8"
    if unfit:
        return {**answer, "unfit": unfit}
    clock = line["now"]
    try:
        answer["accepted"] = bool(sdk.check(q))
    except KeyError:
        pass  # The header is not there.
    return answer


def main():
    args = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # discord-interactions prints to stdout why it refuses.
    with contextlib.redirect_stdout(sys.stderr), out:
        if args == ["check"]:
            for line in sys.stdin:
                if line.strip():
                    print(json.dumps(check_line(json.loads(line))), file=out)
        elif len(args) == 2 and args[0].isdecimal():
            sign_all(int(args[0]), args[1], out)
        else:
            sys.exit("usage: python sign.py <count> <seed> | python sign.py check < lines")


main()
