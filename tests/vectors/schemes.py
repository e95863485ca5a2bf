"""The schemes of the catalogue, written down a second time from the providers' documentation: data only.

A scheme says where a signature stands and how it is written, and what it covers. `signed` is a template:
`{body}`, `{t}` (the timestamp's text), `{url}`, `{url without query}` and `{method}` stand for themselves,
any other name in braces is a header.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stamp:
    """A signed timestamp. `place`: "header", "field" (of the signature header) or "body" (a JSON member)."""

    place: str
    name: str
    unit: str = "s"  # or "ms", "rfc3339"
    tolerance: int = 300


@dataclass(frozen=True)
class Scheme:
    preset: str
    header: str
    algorithm: str = "sha256"  # or "sha1", "sha512", "ed25519", "token"
    encoding: str = "hex"  # or "base64", "base64url"
    # How the secret's text becomes a key: "text", "base64", "hex".
    key: str = "text"
    # What stands before the secret where a provider shows it; with "base64" and "hex" no part of the key.
    secret_prefix: str = ""
    # "whole": one signature after a prefix. "pairs": `t=1,v1=ab`. "items": `v1,ab v1,cd`.
    # "list": a prefix, then signatures. "positional": the timestamp, then signatures.
    shape: str = "whole"
    prefix: str = ""
    prefix_optional: bool = False
    separator: str = ","
    signed: str = "{body}"
    stamp: Stamp | None = None
    # Headers that are signed, with a value each.
    parts: dict = field(default_factory=dict)
    # Headers that must have this very value.
    required: dict = field(default_factory=dict)
    # The header that names the secret.
    key_id: str | None = None
    # The other headers that may carry a signature instead.
    or_headers: tuple = ()
    # The names that the sender may use instead of the first, for all headers.
    alias: tuple | None = None

    @property
    def features(self):
        """What schemes share that are read in the same way."""
        stamp = self.stamp and (self.stamp.place, self.stamp.unit)
        kind = self.algorithm if self.algorithm in ("token", "ed25519") else "hmac"
        grammar = (self.shape, self.encoding, kind, bool(stamp))
        return {"shape": self.shape, "stamp": stamp, "grammar": grammar}


def digest(preset, header, **more):
    """One signature over the body, in a header of its own."""
    return Scheme(preset, header, **more)


def base64(preset, header, **more):
    return Scheme(preset, header, encoding="base64", **more)


def pairs(preset, header, tolerance=300, unit="s", stamp="t", prefix="v1=", glue=".", **more):
    """`t=1700000000,v1=ab`, as Stripe began it."""
    return Scheme(preset, header, shape="pairs", prefix=prefix, signed="{t}" + glue + "{body}",
                  stamp=Stamp("field", stamp, unit, tolerance), **more)


def standard(preset, stem="webhook", tag="v1,", id_header=None, **more):
    """Standard Webhooks and what follows it."""
    id_header = id_header or f"{stem}-id"
    more = {"key": "base64", "secret_prefix": "whsec_", **more}
    return Scheme(preset, f"{stem}-signature", encoding="base64", shape="items", prefix=tag, separator=" ",
                  signed="{" + id_header + "}.{t}.{body}", stamp=Stamp("header", f"{stem}-timestamp"),
                  parts={id_header: "msg_2KWPBgLlAfxdpx2AI54pPJ85"}, **more)


V1A = {"tag": "v1a,", "algorithm": "ed25519", "secret_prefix": "whpk_"}
SVIX = {"stem": "svix", "alias": ("svix", "webhook")}

SCHEMES = [
    # The timestamp stands beside the signature.
    pairs("stripe", "stripe-signature", secret_prefix="whsec_"),
    pairs("paddle", "paddle-signature", tolerance=5, stamp="ts", prefix="h1=", glue=":", separator=";",
          secret_prefix="pdl_ntfset_"),
    pairs("workos", "workos-signature", tolerance=180, unit="ms"),
    pairs("sanity", "sanity-webhook-signature", unit="ms", encoding="base64url"),
    pairs("mux", "mux-signature"),
    pairs("calendly", "calendly-webhook-signature", tolerance=180),
    pairs("elevenlabs", "elevenlabs-signature", tolerance=1800, prefix="v0="),
    pairs("convoy-advanced", "x-convoy-signature", glue=","),
    Scheme("recurly", "recurly-signature", shape="positional", signed="{t}.{body}",
           stamp=Stamp("field", "t", "ms")),

    # Standard Webhooks and its kin.
    standard("standard-webhooks"),
    standard("standard-webhooks-v1a", **V1A),
    standard("svix", **SVIX),
    standard("svix-v1a", **SVIX, **V1A),
    standard("polar", key="text", secret_prefix="polar_whs_"),
    standard("finch", "finch", id_header="finch-event-id", secret_prefix=""),
    standard("gitlab"),

    # The timestamp has a header of its own.
    digest("slack", "x-slack-signature", prefix="v0=", signed="v0:{t}:{body}",
           stamp=Stamp("header", "x-slack-request-timestamp")),
    digest("zoom", "x-zm-signature", prefix="v0=", signed="v0:{t}:{body}",
           stamp=Stamp("header", "x-zm-request-timestamp")),
    digest("webflow", "x-webflow-signature", signed="{t}:{body}",
           stamp=Stamp("header", "x-webflow-timestamp", "ms")),
    digest("revolut", "revolut-signature", shape="items", prefix="v1=", signed="v1.{t}.{body}",
           stamp=Stamp("header", "revolut-request-timestamp", "ms"), secret_prefix="wsk_"),
    digest("twitch", "twitch-eventsub-message-signature", prefix="sha256=",
           signed="{twitch-eventsub-message-id}{t}{body}",
           stamp=Stamp("header", "twitch-eventsub-message-timestamp", "rfc3339", 600),
           parts={"twitch-eventsub-message-id": "e76c6bd4-55c9-4987-8304-da1588d8988b"}),
    digest("mailomat", "x-mom-webhook-signature", prefix="sha256=",
           signed="{x-mom-webhook-id}.{x-mom-webhook-event}.{t}",
           stamp=Stamp("header", "x-mom-webhook-timestamp"),
           parts={"x-mom-webhook-id": "1d958822-0934-4c6a-abc8", "x-mom-webhook-event": "delivered"}),
    base64("cashfree", "x-webhook-signature", signed="{t}{body}",
           stamp=Stamp("header", "x-webhook-timestamp", "ms", 3600)),
    base64("zendesk", "x-zendesk-webhook-signature", signed="{t}{body}",
           stamp=Stamp("header", "x-zendesk-webhook-signature-timestamp", "rfc3339")),
    base64("box", "box-signature-primary", signed="{body}{t}", or_headers=("box-signature-secondary",),
           stamp=Stamp("header", "box-delivery-timestamp", "rfc3339", 600),
           required={"box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}),
    base64("sinch", "x-sinch-webhook-signature", signed="{body}.{x-sinch-webhook-signature-nonce}.{t}",
           stamp=Stamp("header", "x-sinch-webhook-signature-timestamp"),
           parts={"x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067"},
           required={"x-sinch-webhook-signature-algorithm": "HmacSHA256"}),
    base64("hubspot", "x-hubspot-signature-v3", signed="{method}{url}{body}{t}",
           stamp=Stamp("header", "x-hubspot-request-timestamp", "ms")),
    digest("discord", "x-signature-ed25519", algorithm="ed25519", key="hex", signed="{t}{body}",
           stamp=Stamp("header", "x-signature-timestamp", "s", 600)),
    base64("telnyx", "telnyx-signature-ed25519", algorithm="ed25519", key="base64", signed="{t}|{body}",
           stamp=Stamp("header", "telnyx-timestamp")),

    # The timestamp stands in the body.
    digest("linear", "linear-signature", stamp=Stamp("body", "webhookTimestamp", "ms", 60)),

    # No timestamp, hexadecimal digits.
    digest("github", "x-hub-signature-256", prefix="sha256="),
    digest("meta", "x-hub-signature-256", prefix="sha256="),
    digest("websub", "x-hub-signature", prefix="sha256="),
    digest("intercom", "x-hub-signature", prefix="sha1=", algorithm="sha1"),
    digest("bitbucket-server", "x-hub-signature", prefix="sha256="),
    digest("notion", "x-notion-signature", prefix="sha256="),
    digest("mollie", "x-mollie-signature", prefix="sha256=", prefix_optional=True),
    digest("gitea", "x-gitea-signature"),
    digest("gogs", "x-gogs-signature"),
    digest("razorpay", "x-razorpay-signature"),
    digest("paystack", "x-paystack-signature", algorithm="sha512"),
    digest("coinbase-commerce", "x-cc-webhook-signature"),
    digest("gocardless", "webhook-signature"),
    digest("modern-treasury", "x-signature"),
    digest("onfido", "x-sha2-signature"),
    digest("lemon-squeezy", "x-signature"),
    digest("dropbox", "x-dropbox-signature"),
    digest("vercel", "x-vercel-signature", algorithm="sha1"),
    digest("mailersend", "signature"),
    digest("sinch-numbers", "x-sinch-signature", algorithm="sha1"),
    digest("getstream", "x-signature"),
    digest("convoy", "x-convoy-signature", algorithm="sha512"),
    digest("pusher", "x-pusher-signature", key_id="x-pusher-key"),
    digest("pagerduty", "x-pagerduty-signature", shape="items", prefix="v1="),
    digest("outpost", "x-outpost-signature", shape="list", prefix="v0="),

    # No timestamp, base64.
    base64("shopify", "x-shopify-hmac-sha256"),
    base64("line", "x-line-signature"),
    base64("xero", "x-xero-signature"),
    base64("woocommerce", "x-wc-webhook-signature"),
    base64("typeform", "typeform-signature", prefix="sha256="),
    base64("x", "x-twitter-webhooks-signature", prefix="sha256="),
    base64("adyen", "hmacsignature", key="hex"),
    base64("docusign", "x-docusign-signature-1",
           or_headers=tuple(f"x-docusign-signature-{n}" for n in range(2, 17))),
    base64("square", "x-square-hmacsha256-signature", signed="{url}{body}"),
    base64("trello", "x-trello-webhook", signed="{body}{url}", algorithm="sha1"),
    base64("plivo", "x-plivo-signature-v2", signed="{url without query}{x-plivo-signature-v2-nonce}",
           parts={"x-plivo-signature-v2-nonce": "15893204715478960541"}),

    # No signature: a shared token.
    digest("gitlab-token", "x-gitlab-token", algorithm="token", signed=""),
    digest("telegram", "x-telegram-bot-api-secret-token", algorithm="token", signed=""),
]
