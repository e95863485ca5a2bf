"""The cases of a signed timestamp: its text, its age, and where it stands."""

from sender import NOW

VERIFIED, MISMATCH, MALFORMED = "verified", "signature_mismatch", "malformed_timestamp"
OLD, FUTURE = "timestamp_too_old", "timestamp_in_future"


def cases(to):
    sender, stamp = to.sender, to.scheme.stamp
    window(to)
    texts, rare = {"s": seconds, "ms": milliseconds, "rfc3339": rfc3339}[stamp.unit]()
    if "stamp" in to.fresh:
        texts = texts + rare
    if stamp.place == "body":
        in_body(to, texts)
        return
    for text, expect in texts:
        # Each is signed over its own text: the timestamp is the one fault.
        to.add(f"timestamp `{text}`", expect, sender.request(t=text))
    # Another text of the same moment, and another moment, under a signature that was right.
    others = [("a second later", sender.stamp(NOW + 1)), ("a second earlier", sender.stamp(NOW - 1))]
    if stamp.unit == "rfc3339":
        others.append(("another text of the same moment", sender.stamp().replace("Z", "+00:00")))
    for name, text in others:
        to.add(f"timestamp changed: {name}", MISMATCH,
               sender.headers(sender.wrap(to.text, t=text), t=text))
    if stamp.place == "header":
        in_header(to)
    boundary(to)


def window(to):
    tolerance, sender = to.scheme.stamp.tolerance, to.sender
    wrong = sender.headers(sender.wrap(to.wrong))
    for skew, expect in [(tolerance, VERIFIED), (tolerance + 1, OLD), (86_400, OLD), (-tolerance, VERIFIED),
                         (-tolerance - 1, FUTURE), (-86_400, FUTURE)]:
        to.add(f"clock {skew:+} s", expect, to.right, now=NOW + skew)
        if expect != VERIFIED and abs(skew) != 86_400:
            to.add(f"clock {skew:+} s, another secret", MISMATCH, wrong, now=NOW + skew)
    to.add("clock at nought", FUTURE, to.right, now=0)


def digits(right, other_unit):
    """Texts that are no canonical number, whatever the unit, and far moments: the common and the rare."""
    malformed = ["", "abc", f"{right}.0", f"+{right}", f"-{right}", f"0{right}", "9" * 20, "1.7e9",
                 "2023-11-14T22:13:20Z"]
    rare = [f"{right}.5", "0x6553f100", "00", "-0", f"{right[0]} {right[1:]}", f"{right[0]}_{right[1:]}",
            "9" * 19, "9" * 40, str(2**63), "Infinity", "NaN", "\u0661\u0667" + right[2:]]
    far = [("0", OLD), ("9" * 18, FUTURE), other_unit]
    every = lambda texts: [(text, MALFORMED) for text in texts]
    return every(malformed) + far, every(rare) + [("1", OLD)]


def seconds():
    return digits(str(NOW), (str(NOW * 1000), FUTURE))


def milliseconds():
    right = NOW * 1000
    common, rare = digits(str(right), (str(NOW), OLD))
    return common + [(str(right + 123), VERIFIED), (str(right - 877), VERIFIED)], rare


def rfc3339():
    # A date and time in other words: what stands after `T`, where nothing but that changes.
    at = lambda rest: f"2023-11-14T{rest}"
    right = [at("22:13:20z"), "2023-11-14t22:13:20Z", at("22:13:20+00:00"), at("14:13:20-08:00"),
             at("22:13:20.123Z"), at("22:13:20.123456789Z")]
    rare = [at("22:13:20-00:00"), at("23:13:20+01:00"), "2023-11-15T03:43:20+05:30", at("22:13:20.0Z"),
            at("22:13:20.123456Z"), at("22:13:20.123456789012Z"), at("22:13:19.999+00:00")]
    malformed = ["", "abc", str(NOW), "2023-11-14", at("22:13:20"), at("22:13:20+0000"), at("22:13:20.Z"),
                 at("24:13:20Z"), "2023-13-14T22:13:20Z", "2023-02-29T22:13:20Z",
                 "Tue, 14 Nov 2023 22:13:20 GMT"]
    rarely_malformed = [
        str(NOW * 1000), at("22:13Z"), at("22:13:20+00"), at("22:13:20 Z"), at("22:13:20,5Z"),
        at("22:13:20UTC"), at("22:60:20Z"), at("22:13:20+24:00"), at("22:13:20+00:60"), at("22:13:20ZZ"),
        "20231114T221320Z", "2023-00-14T22:13:20Z", "2023-11-31T22:13:20Z", "2023-11-00T22:13:20Z",
        "23-11-14T22:13:20Z",
        "12023-11-14T22:13:20Z", "+2023-11-14T22:13:20Z", "-2023-11-14T22:13:20Z", "2023-1-14T22:13:20Z",
        "2023-318T22:13:20Z"]
    far = [("1970-01-01T00:00:00Z", OLD), (at("22:13:20+08:00"), OLD), (at("22:13:20-08:00"), FUTURE)]
    rarely_far = [("2022-11-14T22:13:20Z", OLD), ("2024-02-29T22:13:20Z", FUTURE),
                  ("9999-12-31T23:59:59Z", FUTURE)]
    every = lambda texts, expect: [(text, expect) for text in texts]
    return (every(right, VERIFIED) + every(malformed, MALFORMED) + far,
            every(rare, VERIFIED) + every(rarely_malformed, MALFORMED) + rarely_far)


def in_header(to):
    name, t = to.scheme.stamp.name, to.sender.stamp()
    header = [(name, t)]
    rest = [found for found in to.right if found[0] != name]
    stale = to.sender.stamp(NOW - 86_400)
    to.add("timestamp header: blanks around it", VERIFIED, rest + [(name, f"\t {t} ")])
    to.add("timestamp header: name in upper case", VERIFIED, rest + [(name.upper(), t)])
    to.add("timestamp header: missing", "missing_header", rest)
    to.add("timestamp header: twice", "duplicate_header", rest + header * 2)
    to.add("timestamp header: a stale one first", "duplicate_header", [(name, stale)] + rest + header)
    to.add("timestamp header: a stale one last", "duplicate_header", rest + header + [(name, stale)])
    to.add("timestamp header: two in one", MALFORMED, to.sender.request(t=f"{t}, {t}"))


def boundary(to):
    """Where nothing stands between body and timestamp, a byte can change sides under the same signature. What
    is left of the number is no moment near the clock."""
    signed, unit, t, body = to.scheme.signed, to.scheme.stamp.unit, to.sender.stamp(), to.body
    if "{t}{body}" in signed:
        t, body = t[:-1], t[-1:].encode() + body
    elif "{body}{t}" in signed:
        t, body = t[1:], body + t[:1].encode()
    else:
        return
    to.add("a byte between timestamp and body changes sides", MALFORMED if unit == "rfc3339" else OLD,
           to.sender.headers(to.sender.wrap(to.text), t=t), body=body)


def in_body(to, texts):
    sender, name = to.sender, to.scheme.stamp.name
    member = f'"{name}":{sender.stamp()}'.encode()

    def add(title, expect, body):
        to.add(title, expect, sender.request(body=body), body=body)

    # As members of a JSON object; text that is no JSON makes the body none.
    for text, expect in texts:
        if text.isascii() and text not in ["", "-0"]:
            add(f"timestamp `{text}`", expect, sender.body(t=text))
    for text in ["null", "true", "[]", "{}", '""', '"soon"']:
        add(f"timestamp `{text}`", MALFORMED, sender.body(t=text))
    add("no timestamp", MALFORMED, b'{"id":"evt_1"}')
    add("timestamp of another name", MALFORMED, to.body.replace(b"webhookT", b"webhookt"))
    add("timestamp deeper in the body", MALFORMED, b'{"id":"evt_1","data":{' + member + b"}}")
    add("timestamp in a list", MALFORMED, b"[{" + member + b"}]")
    add("timestamp alone", MALFORMED, sender.stamp().encode())
    add("body cut off", MALFORMED, to.body[:-1])
    for shift in [1, 86_400]:
        other = to.body.replace(sender.stamp().encode(), sender.stamp(NOW - shift).encode())
        to.add(f"timestamp changed: {shift} s earlier", MISMATCH, to.right, body=other)
