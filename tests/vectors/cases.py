"""The cases of a scheme: requests that are right, and every way to get one wrong that its grammar knows."""

import hashlib
import hmac
import json

import timestamps
from sender import ENCODERS, NOW, URL, Sender

VERIFIED, MISMATCH, MALFORMED = "verified", "signature_mismatch", "malformed_header"
MISSING, DUPLICATE, UNSUPPORTED = "missing_header", "duplicate_header", "unsupported_algorithm"
SIZES = {"sha1": 20, "sha256": 32, "sha512": 64, "ed25519": 64}
NO_TEXT = b'\x00{"id":"\xff\xfe\xc3"}\x80\r\n'
MAX_HEADER = 4096
# Every preset has the faults of its own grammar; these are left to one preset of each grammar.
RARE = {
    "CRLF in the body", "a colon in the place of the equals sign", "an empty signature first",
    "another version only", "blank after the prefix", "blank header", "body of blanks", "body: a byte less",
    "body: another value", "body: emptied", "clock +86400 s", "clock -86400 s", "clock at nought",
    "digits of both cases", "empty items", "empty pairs", "header twice, second wrong",
    "keys in upper case", "newline after the body", "no signature after the comma",
    "one that is short first", "prefix `v1,`", "prefix `v1=`", "prefix twice", "prefix with a colon",
    "prefix without its equals sign", "signature: a character more", "signature: a newline's escape",
    "signature: base64 of its digits", "signature: base64url of its digits",
    "signature: colons between bytes", "signature: first byte alone", "signature: in quotes",
    "signature: last half", "signature: no hexadecimal digit", "signature: one character short",
    "signature: prefix 0x", "signature: prefix 0x instead of a byte", "signature: twice over",
    "signed: HMAC-SHA512 cut to size", "signed: hash of key and message", "signed: hash without a key",
    "signed: key and message exchanged", "16 signatures, the last one right", "16 wrong signatures", "timestamp header: name in upper case", "timestamp header: two in one",
    "two halves", "two timestamps, the right one last", "version alone", "version twice",
    "version without its mark",
}
# The order of Ed25519's group.
ORDER = 2**252 + 27742317777372353535851937790883648493


def replace(headers, name, *values):
    """The headers with these values in the place of the one `name` has: none, another, or more."""
    index = next(index for index, (found, _) in enumerate(headers) if found == name)
    return headers[:index] + [(name, value) for value in values] + headers[index + 1:]


def value_of(headers, name):
    return next(value for found, value in headers if found == name)


class Cases:
    def __init__(self, scheme, fresh):
        """`fresh` names the features of the scheme that no scheme before it had."""
        self.scheme, self.sender, self.cases = scheme, Sender(scheme), []
        self.fresh = fresh
        self.header = scheme.header
        self.body = self.sender.body()
        self.right = self.sender.request()
        self.text = self.sender.text()
        self.wrong = self.sender.text(secret=self.sender.stranger)

    def add(self, name, expect, headers, body=None, now=NOW, secrets=None, url=URL):
        if name in RARE and "grammar" not in self.fresh:
            return
        case = {"name": name, "secrets": [
            {"id": secret.id, "secret": secret.shown} if self.scheme.key_id else secret.shown
            for secret in secrets or [self.sender.ours]]}
        case["headers"] = [list(header) for header in headers]
        body = self.body if body is None else body
        try:
            case["body"] = body.decode()
        except UnicodeDecodeError:
            case["body_hex"] = body.hex()
        if "url" in self.scheme.signed:
            case["url"] = url
        case["now"], case["expect"] = now, expect
        self.cases.append(case)

    def values(self, name, expect, *values, **case):
        """The signature header as often as there are values."""
        self.add(name, expect, self.sender.headers(*values), **case)

    def signature(self, name, expect, text, **case):
        self.values(name, expect, self.sender.wrap(text), **case)

    def all(self):
        self.secrets()
        self.header_names()
        if self.scheme.algorithm == "token":
            self.tokens()
            return self.cases
        self.bodies()
        self.encodings()
        self.macs()
        getattr(self, self.scheme.shape)()
        if self.scheme.algorithm == "ed25519":
            self.ed25519()
        if self.scheme.stamp:
            timestamps.cases(self)
        for name in self.scheme.parts:
            self.part(name)
        for name, value in self.scheme.required.items():
            self.requirement(name, value)
        if self.scheme.key_id:
            self.key_ids()
        if "{url" in self.scheme.signed:
            self.urls()
        if self.scheme.or_headers:
            self.other_headers()
        if self.scheme.alias:
            self.aliases()
        return self.cases

    # What every scheme has.

    def secrets(self):
        sender = self.sender
        both = [sender.ours, sender.other]
        self.add("right", VERIFIED, self.right)
        self.add("first of two secrets", VERIFIED, self.right, secrets=both)
        self.add("second of two secrets", VERIFIED, sender.request(secret=sender.other), secrets=both)
        self.add("another secret", MISMATCH, sender.request(secret=sender.other))
        self.add("neither of two secrets", MISMATCH, sender.request(secret=sender.stranger), secrets=both)

    def header_names(self):
        name, value = self.header, value_of(self.right, self.header)
        wrong = self.sender.wrap(self.wrong)
        self.add("header name in upper case", VERIFIED, [
            (found.upper() if found == name else found, text) for found, text in self.right])
        self.values("blanks around the value", VERIFIED, f" \t{value}\t ")
        self.values("no header", MISSING)
        self.values("header twice, both right", DUPLICATE, value, value)
        self.values("header twice, first wrong", DUPLICATE, wrong, value)
        self.values("header twice, second wrong", DUPLICATE, value, wrong)
        self.values("empty header", MALFORMED, "")
        self.values("blank header", MALFORMED, " \t")
        if "shape" in self.fresh:
            self.values("header of 4097 bytes", MALFORMED, value + "a" * (MAX_HEADER + 1 - len(value)))

    def bodies(self):
        sender, body = self.sender, self.body
        # A timestamp in the body is missed where the body is no object.
        in_body = self.scheme.stamp and self.scheme.stamp.place == "body"
        unread = "malformed_timestamp" if in_body else VERIFIED
        for name, other in [("empty body", b""), ("body that is no text", NO_TEXT),
                            ("body of blanks", b" \r\n\t")]:
            self.add(name, unread, sender.request(body=other), body=other)
        for name, other in [("CRLF in the body", body.replace(b",", b",\r\n")),
                            ("newline after the body", body + b"\n")]:
            self.add(name, VERIFIED, sender.request(body=other), body=other)
        signed = "{body}" in self.scheme.signed
        for name, other in {
            "one bit flipped": bytes([body[0] ^ 1]) + body[1:],
            "a newline more": body + b"\n",
            "a byte less": body[:-1],
            "another value": body.replace(b"evt_1", b"evt_2"),
            "serialised anew": json.dumps(json.loads(body)).encode(),
            "emptied": b"",
        }.items():
            if in_body and name in ["one bit flipped", "a byte less", "emptied"]:
                continue  # two faults: neither the signature nor the timestamp is right
            # A scheme that does not sign the body cannot notice.
            name = f"body: {name}" if signed else f"body, which is not signed: {name}"
            self.add(name, MISMATCH if signed else VERIFIED, self.right, body=other)

    def encodings(self):
        right, raw = self.text, self.sender.sign()
        half = len(raw) // 2
        encode = self.sender.encode
        flipped = lambda at, bit: raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1:]
        for name, text in {
            "one byte short": encode(raw[:-1]),
            "first half": encode(raw[:half]),
            "last half": encode(raw[half:]),
            "first byte alone": encode(raw[:1]),
            "one byte more": encode(raw + b"\0"),
            "twice over": encode(raw * 2),
            "first bit flipped": encode(flipped(0, 0x80)),
            "last bit flipped": encode(flipped(-1 % len(raw), 1)),
            "nothing but zeros": encode(bytes(len(raw))),
            "in quotes": f'"{right}"',
            "a blank inside": f"{right[:10]} {right[10:]}",
            "one character short": right[:-1] if self.scheme.encoding == "hex" else right.rstrip("=")[:-1],
        }.items():
            self.signature(f"signature: {name}", MISMATCH, text)
        getattr(self, self.scheme.encoding)(right, raw)

    def hex(self, right, raw):
        mixed = "".join(digit.upper() if index % 2 else digit for index, digit in enumerate(right))
        self.signature("upper-case digits", VERIFIED, right.upper())
        self.signature("digits of both cases", VERIFIED, mixed)
        for name, text in {
            "base64": ENCODERS["base64"](raw),
            "no hexadecimal digit": right[:-1] + "g",
            "prefix 0x": "0x" + right,
            "prefix 0x instead of a byte": "0x" + right[2:],
            "colons between bytes": raw.hex(":"),
        }.items():
            self.signature(f"signature: {name}", MISMATCH, text)

    def loose_bits(self, text):
        """The same bytes to a careless decoder: bits of the last character that encode nothing."""
        alphabet = ENCODERS[self.scheme.encoding]
        digits = "".join(alphabet(bytes([index << 2]))[0] for index in range(64))
        bare = text.rstrip("=")
        return bare[:-1] + digits[digits.index(bare[-1]) + 1] + text[len(bare):]

    def base64(self, right, raw):
        for name, text in {
            "hexadecimal digits": raw.hex(),
            "no padding": right.rstrip("="),
            "padding more": right + "=",
            "a character more": right.rstrip("=") + "A" * (len(right) - len(right.rstrip("="))),
            "unused bits set": self.loose_bits(right),
            "the URL's alphabet": right.replace("+", "-").replace("/", "_"),
            "a newline's escape": right[:20] + "%0A" + right[20:],
            "base64 of its digits": ENCODERS["base64"](raw.hex().encode()),
        }.items():
            self.signature(f"signature: {name}", MISMATCH, text)

    def base64url(self, right, raw):
        self.signature("signature with its padding", VERIFIED, right + "=" * (-len(right) % 4))
        for name, text in {
            "hexadecimal digits": raw.hex(),
            "padding twice": right + "==",
            "unused bits set": self.loose_bits(right),
            "unused bits set, with padding": self.loose_bits(right) + "=",
            "the common alphabet": right.replace("-", "+").replace("_", "/"),
            "the common alphabet with padding": ENCODERS["base64"](raw),
            "base64url of its digits": ENCODERS["base64url"](raw.hex().encode()),
        }.items():
            self.signature(f"signature: {name}", MISMATCH, text)

    def macs(self):
        """Right in all but the primitive, the key or the message."""
        scheme, sender = self.scheme, self.sender
        message, key, size = sender.message(), sender.ours.key, SIZES[scheme.algorithm]
        hashes = ["sha1", "sha256", "sha512"]
        bare = next(name for name in hashes if SIZES[name] == size)
        raw = {"hash without a key": hashlib.new(bare, message).digest()}
        for other in hashes:
            if other != scheme.algorithm:
                raw[f"HMAC-{other.upper()}"] = hmac.new(key, message, other).digest()
        if scheme.algorithm != "sha512":
            raw["HMAC-SHA512 cut to size"] = hmac.new(key, message, "sha512").digest()[:size]
        if scheme.algorithm != "ed25519":
            raw["key and message exchanged"] = hmac.new(message, key, scheme.algorithm).digest()
            raw["hash of key and message"] = hashlib.new(scheme.algorithm, key + message).digest()
            if scheme.key == "text":
                raw["key read as hexadecimal digits"] = sender.sign(
                    key=bytes.fromhex(sender.ours.shown.removeprefix(scheme.secret_prefix)))
            else:
                raw["key not decoded"] = sender.sign(key=sender.ours.shown.encode())
            if scheme.secret_prefix:
                raw["key without its prefix"] = sender.sign(
                    key=sender.ours.shown.removeprefix(scheme.secret_prefix).encode())
        if scheme.signed != "{body}":
            if "{body}" in scheme.signed:
                raw["body signed alone"] = sender.sign(template="{body}")
            for name, template in self.other_templates().items():
                raw[name] = sender.sign(template=template)
        for name, mac in raw.items():
            self.signature(f"signed: {name}", MISMATCH, sender.encode(mac))

    def other_templates(self):
        signed, templates = self.scheme.signed, {}
        for glue in [".", ":", ",", "|"]:
            if f"}}{glue}{{" in signed:
                other = ":" if glue == "." else "."
                templates["another separator"] = signed.replace(f"}}{glue}{{", f"}}{other}{{")
                templates["no separator"] = signed.replace(f"}}{glue}{{", "}{")
        if "{body}" in signed and "{t}" in signed:
            templates["body and timestamp exchanged"] = (
                signed.replace("{t}", "{}").replace("{body}", "{t}").replace("{}", "{body}"))
        return templates

    # What the shapes of the header add.

    def whole(self):
        right, prefix = self.text, self.scheme.prefix
        both = f"{prefix}{right},{prefix}{right}"
        self.values("two signatures", MISMATCH, both)
        if not prefix:
            for name in ["sha256=", "v1=", "v1,"]:
                self.values(f"prefix `{name}`", MISMATCH, name + right)
            self.values("a timestamp before it", MISMATCH, f"t={NOW},v1={right}")
            return
        # Where the prefix may be absent, another one is read as part of the signature.
        other, malformed = (MISMATCH, VERIFIED) if self.scheme.prefix_optional else (MALFORMED, MALFORMED)
        stem = prefix[:-1]
        self.values("prefix missing", malformed, right)
        self.values("prefix in another case", other, prefix.swapcase() + right)
        self.values("prefix without its equals sign", other, stem + right)
        self.values("prefix with a colon", other, f"{stem}:{right}")
        for name in {"v0=": ["v1=", "v00="], "sha1=": ["sha256=", "sha="]}.get(prefix, ["sha1=", "sha512="]):
            self.values(f"prefix `{name}`", other, name + right)
        self.values("prefix alone", MALFORMED, prefix)
        self.values("prefix twice", MISMATCH, prefix * 2 + right)
        self.values("blank after the prefix", MISMATCH, f"{prefix} {right}")

    def candidates(self, unknown=None):
        """More signatures than one."""
        wrap, right, wrong = self.sender.wrap, self.text, self.wrong
        self.values("a wrong signature first", VERIFIED, wrap(wrong, right))
        self.values("a wrong signature second", VERIFIED, wrap(right, wrong))
        self.values("the right one twice", VERIFIED, wrap(right, right))
        self.values("one that does not decode first", VERIFIED, wrap("?", right))
        self.values("one that is short first", VERIFIED, wrap(right[:-8], right))
        # Each of Ed25519's is a pass over the message of its own.
        most = 4 if self.scheme.algorithm == "ed25519" else 16
        self.values(f"{most} signatures, the last one right", VERIFIED, wrap(*[wrong] * (most - 1), right))
        self.values(f"{most} wrong signatures", MISMATCH, wrap(*[wrong] * most))
        self.values("two halves", MISMATCH, wrap(right[:len(right) // 2], right[len(right) // 2:]))
        self.values(f"{most + 1} signatures, the first one right", MALFORMED, wrap(right, *[wrong] * most))
        self.values("an empty signature", MALFORMED, wrap(""))
        self.values("an empty signature more", MALFORMED, wrap(right, ""))
        self.values("an empty signature first", MALFORMED, wrap("", right))
        if unknown and "shape" in self.fresh:
            value = wrap(right) + unknown
            self.values("header of 4096 bytes", VERIFIED, value + "y" * (MAX_HEADER - len(value)))

    def pairs(self):
        scheme, right, wrong = self.scheme, self.text, self.wrong
        t, s = f"{scheme.stamp.name}={self.sender.stamp()}", scheme.separator
        key, sign = scheme.prefix[:-1], scheme.prefix + right
        unknown = "v7"
        self.candidates(unknown=f"{s}x=")
        for name, value, expect in [
            ("signature before timestamp", f"{sign}{s}{t}", VERIFIED),
            ("unknown keys", f"{t}{s}{unknown}={wrong}{s}{sign}{s}z", VERIFIED),
            ("empty pairs", f"{s}{t}{s}{s}{sign}{s}", VERIFIED),
            ("blanks around pairs", f"{t} {s}\t {sign}", VERIFIED),
            ("another version right, ours wrong", f"{t}{s}{unknown}={right}{s}{key}={wrong}", MISMATCH),
            ("another version only", f"{t}{s}{unknown}={right}", MALFORMED),
            ("keys in upper case", f"{t.upper()}{s}{key.upper()}={right}", MALFORMED),
            ("no timestamp", sign, MALFORMED),
            ("no signature", t, MALFORMED),
            ("signature alone", right, MALFORMED),
            ("another separator", f"{t}{';' if s == ',' else ','}{sign}", MALFORMED),
            ("a colon in the place of the equals sign", f"{t}{s}{key}:{right}", MALFORMED),
            ("the timestamp twice", f"{t}{s}{t}{s}{sign}", MALFORMED),
            ("two timestamps, the right one first", f"{t}{s}{scheme.stamp.name}=1{s}{sign}", MALFORMED),
            ("two timestamps, the right one last", f"{scheme.stamp.name}=1{s}{t}{s}{sign}", MALFORMED),
        ]:
            self.values(name, expect, value)

    def items(self):
        right, wrong, prefix, s = self.text, self.wrong, self.scheme.prefix, self.scheme.separator
        stem, mark = prefix[:-1], prefix[-1]
        sign, unknown = prefix + right, f"v7{mark}"
        self.candidates(unknown=f"{s}{unknown}")
        items = [
            ("unknown versions", f"{unknown}{wrong}{s}{sign}{s}z", VERIFIED),
            ("empty items", f"{s}{sign}{s}{s}", VERIFIED),
            ("another version right, ours wrong", f"{unknown}{right}{s}{prefix}{wrong}", MISMATCH),
            ("another version only", unknown + right, MALFORMED),
            ("a longer version only", f"{stem}b{mark}{right}", MALFORMED),
            ("version in upper case", prefix.upper() + right, MALFORMED),
            ("no version", right, MALFORMED),
            ("version alone", prefix, MALFORMED),
            ("version without its mark", stem + right, MALFORMED),
            ("another mark", f"{stem}{':' if mark == ',' else ','}{right}", MALFORMED),
            ("version twice", prefix * 2 + right, MISMATCH),
        ]
        if s == ",":
            items.append(("blanks around items", f"{prefix}{wrong} ,\t {sign}", VERIFIED))
            items.append(("another separator", f"{prefix}{wrong};{sign}", MISMATCH))
        else:
            items.append(("another separator", f"{prefix}{wrong},{sign}", MISMATCH))
        for name, value, expect in items:
            self.values(name, expect, value)

    def list(self):
        right, wrong, prefix = self.text, self.wrong, self.scheme.prefix
        self.candidates()
        for name, value, expect in [
            ("blanks around signatures", f"{prefix}{wrong} ,\t {right}", VERIFIED),
            ("prefix missing", right, MALFORMED),
            ("prefix in another case", prefix.upper() + right, MALFORMED),
            ("prefix `v1=`", "v1=" + right, MALFORMED),
            ("prefix alone", prefix, MALFORMED),
            ("prefix twice", prefix * 2 + right, MISMATCH),
            ("prefix after the first signature", f"{wrong},{prefix}{right}", MALFORMED),
            ("another separator", f"{prefix}{wrong};{right}", MISMATCH),
        ]:
            self.values(name, expect, value)

    def positional(self):
        right, t = self.text, self.sender.stamp()
        self.candidates()
        for name, value, expect in [
            ("blanks around items", f"{t} ,\t {right}", VERIFIED),
            ("no signature", t, MALFORMED),
            ("no signature after the comma", f"{t},", MALFORMED),
            ("signature before timestamp", f"{right},{t}", "malformed_timestamp"),
            ("keys before the values", f"t={t},v1={right}", "malformed_timestamp"),
            ("another separator", f"{t};{right}", MALFORMED),
            ("the timestamp in a signature's place", f"{t},{t},{right}", VERIFIED),
        ]:
            self.values(name, expect, value)

    # What single schemes add.

    def ed25519(self):
        sender, raw = self.sender, self.sender.sign()
        point, scalar = raw[:32], raw[32:]
        malleable = int.from_bytes(scalar, "little") + ORDER
        for name, text in {
            "scalar plus the group's order": point + malleable.to_bytes(32, "little"),
            "scalar nought, point of small order": b"\1" + bytes(63),
            "point and scalar exchanged": scalar + point,
            "all bits set": b"\xff" * 64,
        }.items():
            self.signature(f"signature: {name}", MISMATCH, sender.encode(text))
        digest = hashlib.sha512(sender.message()).digest()
        self.signature("signed: the message's hash", MISMATCH,
                       sender.encode(sender.ours.private.sign(digest)))

    def part(self, name):
        """A header that is signed, but for the timestamp."""
        sender, right = self.sender, self.right
        value = self.scheme.parts[name]
        changed = replace(right, name, value[:-1] + "x")
        self.add(f"{name}: changed", MISMATCH, changed)
        if value.swapcase() != value:
            self.add(f"{name}: in another case", MISMATCH, replace(right, name, value.swapcase()))
        self.add(f"{name}: missing", MISSING, replace(right, name))
        self.add(f"{name}: twice", DUPLICATE, replace(right, name, value, value))
        self.add(f"{name}: another one beside it", DUPLICATE, replace(right, name, value, "x"))
        self.add(f"{name}: empty", MALFORMED, sender.request(parts={name: ""}))
        self.add(f"{name}: emptied", MALFORMED, replace(right, name, ""))
        self.add(f"{name}: blanks around it", VERIFIED, replace(right, name, f" \t{value} "))
        self.add(f"{name}: long", VERIFIED, sender.request(parts={name: "m" * 200}))
        after = self.scheme.signed.partition("{" + name + "}")[2]
        if after[:1] not in ["", "{"]:
            for text in [f"a{after[0]}b", after[0] + "b", "a" + after[0]]:
                self.add(f"{name}: `{text}`", MALFORMED, sender.request(parts={name: text}))
            if "}{" not in self.scheme.signed:
                # The same bytes are signed, cut elsewhere.
                self.add(f"{name}: cut elsewhere", MALFORMED,
                         replace(right, name, f"{value}{after[0]}{sender.stamp()}"))

    def requirement(self, name, value):
        right = self.right
        self.add(f"{name}: blanks around it", VERIFIED, replace(right, name, f"\t{value} "))
        self.add(f"{name}: missing", MISSING, replace(right, name))
        self.add(f"{name}: twice", DUPLICATE, replace(right, name, value, value))
        self.add(f"{name}: another beside it", DUPLICATE, replace(right, name, value, "none"))
        others = ["2", "01", "1.0"] if value == "1" else ["HmacSHA512", "HmacSHA1", "none", value.lower()]
        for other in others:
            self.add(f"{name}: `{other}`", UNSUPPORTED, replace(right, name, other))

    def key_ids(self):
        sender, right, name = self.sender, self.right, self.scheme.key_id
        both = [sender.ours, sender.other]
        self.add("key id: blanks around it", VERIFIED, replace(right, name, f" {sender.ours.id}\t"))
        self.add("key id: missing", MISSING, replace(right, name))
        self.add("key id: twice", DUPLICATE, replace(right, name, sender.ours.id, sender.ours.id))
        two = replace(right, name, sender.ours.id, sender.other.id)
        self.add("key id: two", DUPLICATE, two, secrets=both)
        self.add("key id: of the other secret", MISMATCH, replace(right, name, sender.other.id), secrets=both)
        self.add("key id: of the other secret, which signed", VERIFIED,
                 sender.request(secret=sender.other), secrets=both)
        for text in ["unknown", "0", sender.ours.id.upper(), sender.ours.id[:-1], sender.ours.id + "0",
                     "../../etc/passwd", "/etc/passwd", "*", f"{sender.ours.id},{sender.other.id}",
                     sender.ours.shown]:
            self.add(f"key id: `{text}`", MISMATCH, replace(right, name, text), secrets=both)
        self.add("key id: very long", MALFORMED, replace(right, name, "k" * 3000), secrets=both)

    def urls(self):
        base, _, query = URL.partition("?")
        with_query = "{url}" in self.scheme.signed
        for name, url in {
            "another host": URL.replace("hooks.", "evil."),
            "another scheme": URL.replace("https", "http"),
            "another path": URL.replace("/shop", "/shop2"),
            "a slash more": URL.replace("/shop?", "/shop/?"),
            "a port": URL.replace(".com", ".com:443"),
            "host in upper case": URL.replace("hooks.example.com", "HOOKS.EXAMPLE.COM"),
            "nothing but the path": URL.removeprefix("https://hooks.example.com"),
            "none at all": "",
        }.items():
            self.add(f"URL signed: {name}", MISMATCH, self.sender.request(url=url))
        other = f"{base}?lang=de&tenant=7"
        if with_query:
            for name, url in [("no query", base), ("query in another order", other),
                              ("a member more", URL + "&x=1"), ("escaped", URL.replace("=", "%3D"))]:
                self.add(f"URL signed: {name}", MISMATCH, self.sender.request(url=url))
            for name, url in [("no query", base), ("another query", other), ("escapes", f"{base}?x=a%20b+c"),
                              ("another port", base.replace(".com", ".com:8443"))]:
                self.add(f"URL of the receiver: {name}", VERIFIED, self.sender.request(url=url), url=url)
                self.add(f"URL of the receiver alone: {name}", MISMATCH, self.right, url=url)
        else:
            template = self.scheme.signed.replace("url without query", "url")
            self.signature("URL signed: with its query", MISMATCH, self.sender.text(template=template))
            for name, url in [("no query", base), ("another query", other), ("empty query", base + "?")]:
                self.add(f"URL of the receiver: {name}", VERIFIED, self.right, url=url)
        if "{method}" in self.scheme.signed:
            for method in ["GET", "PUT", "post", ""]:
                self.add(f"method signed: `{method}`", MISMATCH, self.sender.request(method=method))

    def other_headers(self):
        """Signatures in headers of several names."""
        names, right, wrong = [self.header, *self.scheme.or_headers], self.text, self.wrong
        rest = self.sender.headers()
        second = self.sender.text(secret=self.sender.other)
        both = [self.sender.ours, self.sender.other]
        for name, expect, texts in [
            ("the first right, the second wrong", VERIFIED, {0: right, 1: wrong}),
            ("the first wrong, the second right", VERIFIED, {0: wrong, 1: right}),
            ("the first does not decode, the second right", VERIFIED, {0: "?", 1: right}),
            ("nothing but the second", VERIFIED, {1: right}),
            ("both wrong", MISMATCH, {0: wrong, 1: wrong}),
            ("nothing but the second, wrong", MISMATCH, {1: wrong}),
            ("the first empty, the second right", MALFORMED, {0: "", 1: right}),
            ("the first right, the second empty", MALFORMED, {0: right, 1: ""}),
        ]:
            self.add(f"headers: {name}", expect,
                     rest + [(names[index], text) for index, text in texts.items()])
        self.add("headers: one for each secret", VERIFIED, rest + [(names[0], right), (names[1], second)],
                 secrets=both)
        self.add("headers: one for each secret, in another order", VERIFIED,
                 rest + [(names[1], right), (names[0], second)], secrets=both)
        self.add("headers: the second twice", DUPLICATE, rest + [(names[0], right)] + [(names[1], right)] * 2)
        self.add("headers: an unknown one only", MISSING, rest + [(names[0] + "-old", right)])
        if len(names) > 2:
            self.add("headers: sixteen, the last one right", VERIFIED,
                     rest + [(name, wrong) for name in names[:-1]] + [(names[-1], right)])
            self.add("headers: nothing but the last", VERIFIED, rest + [(names[-1], right)])
            self.add("headers: sixteen, all wrong", MISMATCH, rest + [(name, wrong) for name in names])

    def aliases(self):
        """The whole request under the sender's other names."""
        ours, theirs = self.scheme.alias
        rename = lambda headers: [(name.replace(ours, theirs, 1), value) for name, value in headers]
        right = rename(self.right)
        self.add("other names", VERIFIED, right)
        self.add("other names: another secret", MISMATCH,
                 rename(self.sender.request(secret=self.sender.stranger)))
        self.add("other names: another body", MISMATCH, right, body=self.body + b"\n")
        self.add("other names: stale", "timestamp_too_old", right, now=NOW + self.scheme.stamp.tolerance + 1)
        for index, (name, _) in enumerate(right):
            self.add(f"other names: no {name}", MISSING, right[:index] + right[index + 1:])
            self.add(f"other names: {name} twice", DUPLICATE, right + [right[index]])

    def tokens(self):
        token = self.sender.ours.shown
        changed = self.body.replace(b"evt_1", b"evt_2")
        for name, other in [("empty body", b""), ("body that is no text", NO_TEXT),
                            ("body, which is not signed: another value", changed)]:
            self.add(name, VERIFIED, self.right, body=other)
        for name, text in {
            "all but the last character": token[:-1],
            "all but the first character": token[1:],
            "first character alone": token[0],
            "first half": token[:len(token) // 2],
            "a character more": token + "0",
            "a character before it": "0" + token,
            "twice over": token * 2,
            "in upper case": token.upper(),
            "last character changed": token[:-1] + ("0" if token[-1] != "0" else "1"),
            "first character changed": ("0" if token[0] != "0" else "1") + token[1:],
            "backwards": token[::-1],
            "a blank inside": f"{token[:10]} {token[10:]}",
            "in quotes": f'"{token}"',
            "with a scheme": f"Bearer {token}",
            "both, with a comma": f"{token},{token}",
            "in base64": ENCODERS["base64"](token.encode()),
            "its hash": hashlib.sha256(token.encode()).hexdigest(),
            "the body signed with it": hmac.new(token.encode(), self.body, "sha256").hexdigest(),
        }.items():
            self.values(f"token: {name}", MISMATCH, text)
