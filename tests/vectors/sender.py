"""Signs requests by a scheme: what the provider does, with nothing but Python's `hmac` and, for Ed25519, the
package `cryptography`."""

import base64
import datetime
import hashlib
import hmac
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1_700_000_000
URL = "https://hooks.example.com/in/shop?tenant=7&lang=de"

ENCODERS = {
    "hex": bytes.hex,
    "base64": lambda raw: base64.b64encode(raw).decode(),
    # The providers that use it leave the padding out.
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
}


class Secret:
    """`shown` is what the receiver configures, `key` what the sender signs with."""

    def __init__(self, scheme, name, salt):
        seed = hashlib.sha256(f"{scheme.preset} {name} {salt}".encode()).digest()
        self.id, self.private = f"key-{name}", None
        self.key = seed[:24] if name == "ours" else seed
        if scheme.algorithm == "ed25519":
            self.private = Ed25519PrivateKey.from_private_bytes(seed)
            self.key = self.private.public_key().public_bytes_raw()
        if scheme.key == "text":
            self.shown = scheme.secret_prefix + seed[:16].hex()
            self.key = self.shown.encode()
        else:
            self.shown = scheme.secret_prefix + ENCODERS[scheme.key](self.key)


class Sender:
    def __init__(self, scheme):
        self.scheme = scheme
        # Another salt until the right signature has what another alphabet would write otherwise.
        for salt in range(1000):
            self.ours, self.other, self.stranger = (
                Secret(scheme, name, salt) for name in ["ours", "other", "stranger"])
            if scheme.algorithm == "token" or scheme.encoding == "hex":
                break
            if re.search(r"[+-].*[/_]|[/_].*[+-]", self.text()):
                break

    # What is signed.

    def stamp(self, seconds=NOW):
        unit = self.scheme.stamp.unit if self.scheme.stamp else "s"
        if unit == "rfc3339":
            moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(seconds * 1000 if unit == "ms" else seconds)

    def body(self, t=None):
        stamp = self.scheme.stamp
        member = f',"{stamp.name}":{t or self.stamp()}' if stamp and stamp.place == "body" else ""
        return f'{{"id":"evt_1"{member},"note":"café"}}'.encode()

    def message(self, body=None, t=None, parts=None, url=URL, method="POST", template=None):
        values = {
            "body": self.body() if body is None else body,
            "t": (self.stamp() if t is None else t).encode(),
            "url": url.encode(),
            "url without query": url.partition("?")[0].encode(),
            "method": method.encode(),
        }
        values |= {name: text.encode() for name, text in {**self.scheme.parts, **(parts or {})}.items()}
        pieces = re.split(r"\{(.*?)\}", self.scheme.signed if template is None else template)
        return b"".join(values[piece] if index % 2 else piece.encode() for index, piece in enumerate(pieces))

    def sign(self, secret=None, key=None, algorithm=None, **message):
        secret, algorithm = secret or self.ours, algorithm or self.scheme.algorithm
        if algorithm == "token":
            return secret.key
        message = self.message(**message)
        if algorithm == "ed25519":
            return secret.private.sign(message)
        return hmac.new(secret.key if key is None else key, message, algorithm).digest()

    # How it is written.

    def encode(self, raw):
        return raw.decode() if self.scheme.algorithm == "token" else ENCODERS[self.scheme.encoding](raw)

    def text(self, **how):
        return self.encode(self.sign(**how))

    def wrap(self, *signatures, t=None):
        """The signature header's value."""
        scheme, t = self.scheme, self.stamp() if t is None else t
        match scheme.shape:
            case "whole":
                return scheme.prefix + signatures[0]
            case "items":
                return scheme.separator.join(scheme.prefix + text for text in signatures)
            case "list":
                return scheme.prefix + ",".join(signatures)
            case "positional":
                return ",".join([t, *signatures])
            case "pairs":
                stamp = f"{scheme.stamp.name}={t}"
                return scheme.separator.join([stamp, *(scheme.prefix + text for text in signatures)])

    def headers(self, *values, t=None, parts=None, secret=None):
        """All headers of a request, the signature header as often as there are values."""
        scheme = self.scheme
        headers = [*scheme.required.items(), *{**scheme.parts, **(parts or {})}.items()]
        if scheme.key_id:
            headers.append((scheme.key_id, (secret or self.ours).id))
        if scheme.stamp and scheme.stamp.place == "header":
            headers.append((scheme.stamp.name, self.stamp() if t is None else t))
        return headers + [(scheme.header, value) for value in values]

    def request(self, t=None, parts=None, secret=None, **how):
        """The headers of a request that is signed in full."""
        message = {"t": t, "parts": parts, "secret": secret, **how}
        return self.headers(self.wrap(self.text(**message), t=t), t=t, parts=parts, secret=secret)
