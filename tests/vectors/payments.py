"""The cases of caspay.json and casapay.json, from what the two platforms document: neither publishes a vector
of its own."""

import hashlib
import hmac
import json
import pathlib

NOW = 1_700_000_000
TOLERANCE = 300
SECRET = "whsec_7c1d0f2ab9e84653"
OTHER = "whsec_0f0e0d0c0b0a0908"
WRONG = "00" * 32


def mac(secret, message, algorithm=hashlib.sha256):
    return hmac.new(secret.encode(), message, algorithm).hexdigest()


class Cases:
    def __init__(self, header, body):
        self.header, self.body, self.cases = header, body, []

    def add(self, name, expect, values, body=None, now=NOW, secrets=(SECRET,), header=None):
        body = self.body if body is None else body
        case = {"name": name, "secrets": list(secrets)}
        case["headers"] = [["content-type", "application/json"]]
        case["headers"] += [[header or self.header, value] for value in values]
        try:
            case["body"] = body.decode()
        except UnicodeDecodeError:
            case["body_hex"] = body.hex()
        case["now"], case["expect"] = now, expect
        self.cases.append(case)

    def common(self, wrap, message):
        """What holds for every scheme: `wrap` writes a signature into the header's value, `message` is what
        is signed."""
        body = self.body
        sign = lambda body=body, secret=SECRET: mac(secret, message(body))
        right = sign()
        ok, mismatch, malformed = "verified", "signature_mismatch", "malformed_header"
        self.add("right", ok, [wrap(right)])
        self.add("header name in upper case", ok, [wrap(right)], header=self.header.upper())
        self.add("blanks around the value", ok, [f" \t{wrap(right)}\t "])
        self.add("upper-case digits", ok, [wrap(right.upper())])
        self.add("digits of both cases", ok, [wrap("".join(
            digit.upper() if index % 2 else digit for index, digit in enumerate(right)))])
        self.add("first of two secrets", ok, [wrap(right)], secrets=(SECRET, OTHER))
        self.add("second of two secrets", ok, [wrap(right)], secrets=(OTHER, SECRET))
        for name, other in {
            "empty body": b"",
            "body that is no text": bytes(range(256)),
            "body with a byte order mark": b"\xef\xbb\xbf" + body,
            "body with CRLF": body.replace(b",", b",\r\n"),
            "body with NUL": b"\0" + body + b"\0",
            "body with a member twice": body[:-1] + b',"id":"evt_2"}',
        }.items():
            self.add(name, ok, [wrap(sign(other))], body=other)
        for length in [1, 54, 55, 56, 63, 64, 65, 127, 128, 129, 1000]:
            other = bytes(ord("a") + index % 26 for index in range(length))
            self.add(f"body of {length} bytes", ok, [wrap(sign(other))], body=other)

        self.add("no header", "missing_header", [])
        self.add("header twice, both right", "duplicate_header", [wrap(right)] * 2)
        self.add("header twice, first wrong", "duplicate_header", [wrap(WRONG), wrap(right)])
        self.add("header twice, second wrong", "duplicate_header", [wrap(right), wrap(WRONG)])
        self.add("empty header", malformed, [""])
        self.add("blank header", malformed, [" \t"])
        self.add("empty signature", malformed, [wrap("")])
        self.add("another secret", mismatch, [wrap(sign(secret=OTHER))])
        self.add("neither of two secrets", mismatch, [wrap(sign(secret="whsec_third-secret"))],
                 secrets=(SECRET, OTHER))
        self.add("secret without its prefix", mismatch, [wrap(sign(secret=SECRET.removeprefix("whsec_")))])
        self.add("nothing but zeros", mismatch, [wrap(WRONG)])
        self.add("another hash", mismatch, [wrap(mac(SECRET, message(body), hashlib.sha512))])
        self.add("a shorter hash", mismatch, [wrap(mac(SECRET, message(body), hashlib.sha1))])
        self.add("hash without a key", mismatch, [wrap(hashlib.sha256(message(body)).hexdigest())])
        self.add("key and message exchanged", mismatch,
                 [wrap(hmac.new(message(body), SECRET.encode(), hashlib.sha256).hexdigest())])
        for name, text in {
            "first byte alone": right[:2],
            "first half": right[:32],
            "one byte short": right[:-2],
            "one digit short": right[:-1],
            "one digit more": right + "0",
            "one byte more": right + "00",
            "twice over": right * 2,
            "a blank inside": right[:10] + " " + right[11:],
            "no hexadecimal digit": right[:-1] + "g",
            "prefix 0x": "0x" + right,
            "prefix 0x instead of a byte": "0x" + right[2:],
            "prefix sha256=": "sha256=" + right,
            "in quotes": f'"{right}"',
        }.items():
            self.add(f"signature: {name}", mismatch, [wrap(text)])
        for bit in [0, 1, 7, 128, 255]:
            flipped = f"{int(right, 16) ^ 1 << bit:064x}"
            self.add(f"signature with bit {bit} flipped", mismatch, [wrap(flipped)])
        for name, other in {
            "one bit flipped": bytes([body[0] ^ 1]) + body[1:],
            "a newline more": body + b"\n",
            "a byte less": body[:-1],
            "a blank more": body.replace(b":", b": ", 1),
            "serialised anew": json.dumps(json.loads(body), sort_keys=True).encode(),
            "emptied": b"",
        }.items():
            self.add(f"body: {name}", mismatch, [wrap(right)], body=other)

    def write(self, name):
        path = pathlib.Path(__file__).with_name(name)
        lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in self.cases)
        path.write_text(f"[\n{lines}\n]\n")


def caspay():
    body = (b'{"id":"evt_1","type":"payment.completed","created":1700000000,"data":{"payment":{"id":"pay_1",'
            b'"amount":100000000000,"currency":"CSPR","status":"completed","metadata":{"note":"caf\xc3\xa9"}}}}')
    cases = Cases("x-caspay-signature", body)
    cases.common(wrap=lambda signature: signature, message=lambda body: body)
    # Nothing but the body is signed, so that a timestamp in front of it makes it another message.
    signed = mac(SECRET, f"{NOW}.".encode() + body)
    cases.add("signed with a timestamp", "signature_mismatch", [signed])
    cases.add("two signatures", "signature_mismatch", [f"{mac(SECRET, body)},{mac(SECRET, body)}"])
    cases.add("CasaPay's grammar", "signature_mismatch", [f"t={NOW},v1={mac(SECRET, body)}"])
    for now in [0, NOW - 86_400, NOW + 86_400]:
        cases.add(f"clock at {now}", "verified", [mac(SECRET, body)], now=now)
    cases.write("caspay.json")


def casapay():
    body = (b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","api_version":"2025-01-15",'
            b'"created":1700000000,"livemode":false,"pending_webhooks":1,"request":{"id":null},"data":{"object":'
            b'{"id":"pi_1","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded",'
            b'"customer":"cus_1","payment_method":"pm_1","description":"caf\xc3\xa9"}}}')
    cases = Cases("x-casapay-signature", body)
    at = lambda text: mac(SECRET, f"{text}.".encode() + body)
    right = at(NOW)
    cases.common(wrap=lambda signature: f"t={NOW},v1={signature}",
                 message=lambda body: f"{NOW}.".encode() + body)

    ok, mismatch, malformed = "verified", "signature_mismatch", "malformed_header"
    for name, value, expect in [
        ("signature before timestamp", f"v1={right},t={NOW}", ok),
        ("a wrong signature first", f"t={NOW},v1={WRONG},v1={right}", ok),
        ("a wrong signature second", f"t={NOW},v1={right},v1={WRONG}", ok),
        ("the right one twice", f"t={NOW},v1={right},v1={right}", ok),
        ("one that does not decode first", f"t={NOW},v1=?,v1={right}", ok),
        ("sixteen signatures, the last one right", f"t={NOW}" + f",v1={WRONG}" * 15 + f",v1={right}", ok),
        ("unknown keys", f"t={NOW},v0={WRONG},v2=x,v1={right}", ok),
        ("blanks around pairs", f"t={NOW} ,\t v1={right}", ok),
        ("sixteen wrong signatures", f"t={NOW}" + f",v1={WRONG}" * 16, mismatch),
        ("another version right, ours wrong", f"t={NOW},v0={right},v1={WRONG}", mismatch),
        ("body signed alone", f"t={NOW},v1={mac(SECRET, body)}", mismatch),
        ("another separator signed", f"t={NOW},v1={mac(SECRET, f'{NOW},'.encode() + body)}", mismatch),
        ("body signed before the timestamp", f"t={NOW},v1={mac(SECRET, body + f'.{NOW}'.encode())}", mismatch),
        ("another timestamp", f"t={NOW - 1},v1={right}", mismatch),
        ("blank after the equals sign", f"t={NOW},v1= {right}", mismatch),
        ("seventeen signatures, the first one right", f"t={NOW},v1={right}" + f",v1={WRONG}" * 16, malformed),
        ("another version only", f"t={NOW},v0={right}", malformed),
        ("keys in upper case", f"T={NOW},V1={right}", malformed),
        ("no timestamp", f"v1={right}", malformed),
        ("no signature", f"t={NOW}", malformed),
        ("signature alone", right, malformed),
        ("two timestamps, the old one first", f"t={NOW - 3600},t={NOW},v1={right}", malformed),
        ("the timestamp twice", f"t={NOW},t={NOW},v1={right}", malformed),
        ("an empty signature more", f"t={NOW},v1={right},v1=", malformed),
        ("a comma in the place of the equals sign", f"t={NOW},v1,{right}", malformed),
        ("semicolons", f"t={NOW};v1={right}", malformed),
        ("pipes", f"t={NOW}|v1={right}", malformed),
    ]:
        cases.add(name, expect, [value])

    # Each is signed over its own text: the timestamp is the one fault.
    for text in ["", "abc", "1.5", f"{NOW}.0", "1.7e9", "0x6553f100", f"+{NOW}", f"-{NOW}", f"0{NOW}", "00",
                 f"{NOW // 10 ** 9} {NOW % 10 ** 9}", "1_700_000_000", str(-2 ** 63), str(2 ** 63 - 1),
                 str(2 ** 64), "9" * 40, "Infinity", "2023-11-14T22:13:20Z"]:
        cases.add(f"timestamp `{text}`", "malformed_timestamp", [f"t={text},v1={at(text)}"])
    for text, expect in [(0, "timestamp_too_old"), (NOW * 1000, "timestamp_in_future"),
                         ("9" * 18, "timestamp_in_future")]:
        cases.add(f"timestamp {text}", expect, [f"t={text},v1={at(text)}"])
    for skew, expect in [(TOLERANCE, ok), (TOLERANCE + 1, "timestamp_too_old"), (86_400, "timestamp_too_old"),
                         (-TOLERANCE, ok), (-TOLERANCE - 1, "timestamp_in_future"),
                         (-86_400, "timestamp_in_future")]:
        cases.add(f"clock {skew:+} s", expect, [f"t={NOW},v1={right}"], now=NOW + skew)
        cases.add(f"clock {skew:+} s, wrong", mismatch, [f"t={NOW},v1={WRONG}"], now=NOW + skew)
    cases.write("casapay.json")
