//! What went wrong in other verifiers, by their public advisories and changelogs, tried against this one.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body::Frame;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Authentic, Body, Encoding, Envelope, KeyEncoding, List, Pairs, Provider, RejectionReason, Secret,
    SignatureScheme, TimestampUnit, Unverified, Verify,
};

use crate::body::frames as in_frames;
use crate::secrets::{Hidden, Printed};
use crate::signature_header::{hmac_sha256, with_signature};
use crate::signed_headers::{request_with, standard_signature, standard_webhooks};
use crate::support::{NOW, Receiver, SECRET, caspay_body, secret, secrets};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn build(scheme: SignatureScheme) -> Provider {
    Provider::builder("acme").signature(scheme).build().unwrap()
}

fn acme() -> SignatureScheme {
    SignatureScheme::hmac_sha256("x-acme-signature")
}

/// svix before 1.17 compared as many bytes as the shorter of two signatures has, so that `v1,` was always right.
#[tokio::test]
async fn rustsec_2024_0010_signatures_of_another_length() {
    let stamped = format!("t={NOW},v1=");
    for (scheme, before) in [
        (acme(), ""),
        (acme().with_prefix("sha256="), "sha256="),
        (acme().with_optional_prefix("sha256="), "sha256="),
        (acme().with_encoding(Encoding::Base64), ""),
        (acme().with_encoding(Encoding::Base64Url), ""),
        (acme().with_grammar(Pairs::versions("v1")).with_encoding(Encoding::Base64), "v1,"),
        (acme().with_grammar(List::new().with_prefix("v0=")), "v0="),
        (acme().with_pairs("t", "v1"), stamped.as_str()),
        (SignatureScheme::hmac_sha1("x-acme-signature"), ""),
        (SignatureScheme::hmac_sha512("x-acme-signature"), ""),
        (SignatureScheme::dangerous_token("x-acme-token"), ""),
    ] {
        let provider = build(scheme);
        let (receiver, secret) = (Receiver::new(provider.clone()), secret());
        let signed = || SignedRequest::new(&provider, &secret, caspay_body("evt_1")).at_unix(NOW);
        let header = signed().signature();
        let right = header.strip_prefix(before).unwrap();
        let request = |text: &str| with_signature(signed().build(), &provider, format!("{before}{text}"));

        receiver.refuses(request(""), RejectionReason::MalformedHeader).await;
        // Padding is no part of what is compared, where it may be left out.
        for end in 1..right.trim_end_matches('=').len() {
            receiver.refuses(request(&right[..end]), RejectionReason::SignatureMismatch).await;
        }
        for longer in [format!("{right}0"), format!("{right}00"), format!("{right}AAAA"), right.repeat(2)] {
            receiver.refuses(request(&longer), RejectionReason::SignatureMismatch).await;
        }
        receiver.handles(request(right)).await;
    }
}

/// Keeps what `Debug` says of a request that nobody has verified yet.
#[derive(Debug)]
struct Watching(Printed);

impl Verify for Watching {
    fn signature_header(&self) -> &HeaderName {
        static HEADER: HeaderName = HeaderName::from_static("x-acme-signature");
        &HEADER
    }

    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason> {
        let right = const_hex::encode(hmac_sha256(secret.expose(), request.body()));
        self.0.debug((request, secret));
        if request.header(self.signature_header())? == right.as_bytes() {
            Ok(Authentic::new().with_signed_at(NOW).with_identity("acme-1"))
        } else {
            Err(RejectionReason::SignatureMismatch)
        }
    }
}

/// `slack-morphism` before 1.3.2 printed secrets with its structures in debug logs. `t011` has the types of the layer;
/// these are those of the signature.
#[test]
fn rustsec_2022_0087_debug_of_what_verifies() {
    let (body, printed) = (caspay_body("evt_1"), Printed::default());
    let decoded = "00112233445566778899aabbccddeeff0123";
    let key = const_hex::decode(decoded).unwrap();
    let hidden = Hidden::new()
        .and_signed(body.as_bytes())
        .and(decoded)
        .and(format!("{key:?}"))
        .and(format!("{:?}", SECRET.as_bytes()))
        .and("evt_1");
    let in_hex = acme().with_key_encoding(KeyEncoding::Hex);
    let (provider, hexadecimal) = (build(acme()), Secret::new(decoded).unwrap());
    let verifier = provider.verifier(secrets()).unwrap();
    let request = SignedRequest::new(&provider, &secret(), body.clone()).build();
    let (right, proof) = (request.headers(), verifier.verify(request.headers(), body.as_bytes(), at(NOW)));
    printed.debug((acme(), in_hex.clone(), Provider::builder("acme").signature(acme()), &provider));
    printed.debug((&verifier, build(in_hex).verifier(hexadecimal).unwrap(), proof.unwrap()));
    printed.debug((secrets(), provider.verifier(Secret::weak("short").unwrap())));
    printed.debug(verifier.verify(right, b"", at(NOW)).unwrap_err());

    let code = Provider::builder("code").verify_with(Watching(printed.clone())).build().unwrap();
    let verifier = code.verifier(secrets()).unwrap();
    let right = with_signature(request, &code, const_hex::encode(hmac_sha256(SECRET, body.as_bytes())));
    let request = right.map(|_| body.clone());
    let proof = verifier.verify_request(&request, at(NOW)).unwrap();
    assert_eq!(proof.signed_at(), Some(NOW));
    printed.debug((&code, &verifier, proof, Authentic::new().with_signed_at(NOW)));

    let output = printed.take();
    hidden.is_absent_from(&output);
    for shown in ["Secret(redacted)", "SignatureScheme {", "Verifier {", "Proof {", "Unverified {", "current"]
    {
        assert!(output.contains(shown), "`{shown}` is not in: {output}");
    }
}

/// The sizes of frames, over and over: on, before and behind the ends of blocks.
const FRAMES: [usize; 7] = [1, 63, 64, 65, 127, 1_000, 4_096];

/// sha2 0.9.7 computed wrong digests of messages of more than one block where the processor has AVX2. What is right
/// here is by Python's `hmac`, over so many times `a`.
#[tokio::test]
async fn rustsec_2021_0100_long_messages() {
    let provider = |scheme: SignatureScheme| {
        let envelope = Envelope::identified_by_digest().opaque("acme.event");
        let scheme = scheme.with_encoding(Encoding::Base64);
        Provider::builder("acme").signature(scheme).envelope(envelope).build().unwrap()
    };
    let sha1 = provider(SignatureScheme::hmac_sha1("x-acme-signature"));
    let sha384 = provider(SignatureScheme::hmac_sha384("x-acme-signature"));
    let sha512 = provider(SignatureScheme::hmac_sha512("x-acme-signature"));
    for (provider, length, right) in [
        (&sha1, 111, "odD13VY4TRZZhanvgWMmHeeGBfY="),
        (&sha1, 128, "KSUFjzEO/aSz3uVAcKEl63PPFnU="),
        (&sha1, 129, "wMrzLS0vCC39BDURGe75Nu7qtag="),
        (&sha1, 256, "pF+ccPD6o4CK5tDE8Qqp7puB7jg="),
        (&sha1, 4_096, "x5jWHGR1BDDYkidVqj4AbZSI0uM="),
        (&sha1, 1 << 20, "971NV8ONx0uZ1nL6h7+1nTZNcwk="),
        (&sha384, 111, "DdABax2qej+mbvxJBxcenOffAlNmHg+tAAvun/bEXCO2bCTFL+JVe6pCAc1IhCOl"),
        (&sha384, 128, "+fbSEh6UyzufwNP5b7iSzzX2e55Okay3l3ZhtyCAokR/+VqR+S75KaAd9dej/Nwn"),
        (&sha384, 129, "j57dIpSom0+ll5ItKCLW+NkuQW/uKBMZGP8XamnZfaGrUiZUiEgoNZ6iu+4YWtXK"),
        (&sha384, 256, "XFA02LxvLMR6a2jSlSNuuMUe0nObJCgA16FtwHzNXbHw74Yvae3etOH9MJUWSC6g"),
        (&sha384, 4_096, "CqFNkolk5QtoWEjiyKZtJjRRsg7X4xyVrRB750NqqtaCx8yKrigPpNCXyAep99TQ"),
        (&sha384, 1 << 20, "RpNU2fFgawMvC+/xTv9baBbfTPyDMAlYwO48Q4g/FRPx9HKIc7ogN0lYdpjhoazk"),
        (
            &sha512,
            111,
            "9b78pTRVLYvOu76yIic3/5LrLMVHWreIamhb8PRFPvT3IjWpqRr7lK3/+giEXk8huJHv1lD6Cck9oYKR0CWAag==",
        ),
        (
            &sha512,
            128,
            "yrhsQRMB5yf8ATctm4H7cloVsV70LpvdRZr2SHV50TE7eJwHirj2V9dUqmuQPsfA1eKUxb0jzQDtSZqiS2r40Q==",
        ),
        (
            &sha512,
            129,
            "IoW3hRu/wQyCZ9bi6KxBqR+F2PHTeaguaOtygHkN5M7lMjUkHIdK0xRMZlzK8y/udS4D9BkmicigSi947W9wLA==",
        ),
        (
            &sha512,
            256,
            "ynhi/AQKNme0An7PLOczPF06jk1DnW3xsSuZIer/3raHJ2zSOZ/ziLPl2NQTqEGstUUADdXVLNh52WwkjLA0jw==",
        ),
        (
            &sha512,
            4_096,
            "xtQuN/Sd6NGz9YVIbny/cdif1/f8XD7H0zEkZd2w3QiAwCAYvCf103ogLvknSS1vcGeiFwn4kYchThPWcj0gpQ==",
        ),
        (
            &sha512,
            1 << 20,
            "q+DvMpdxztCSDn7tDo0mDIf5kSuxhoOXEac68y3B/xEpVuMJU5ljIuXMhyGE4mZrcmVML0fGwZbRx6+lgxlOsA==",
        ),
    ] {
        let receiver = Receiver::new(provider.clone());
        let request = |body: Bytes| {
            let mut left = body;
            let frames: Vec<_> = (FRAMES.iter().cycle())
                .map_while(|size| {
                    (!left.is_empty()).then(|| Frame::data(left.split_to((*size).min(left.len()))))
                })
                .collect();
            Request::post("/").header("x-acme-signature", right).body(in_frames(frames)).unwrap()
        };
        let body = Bytes::from("a".repeat(length));
        receiver.refuses(request(body.slice(1..)), RejectionReason::SignatureMismatch).await;
        receiver.handles(request(body.clone())).await;
        // The same at once, under a new identity.
        let whole = Receiver::new(provider.clone());
        whole.handles(request_with(&[("x-acme-signature", right)], body)).await;
    }
}

/// Verifiers index headers that are not there, or unwrap them.
#[tokio::test]
async fn missing_headers_are_no_crash() {
    let body = caspay_body("evt_1");
    let (now, signature) = (NOW.to_string(), standard_signature(format!("msg_1.{NOW}.{body}").as_bytes()));
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", now.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    let receiver = Receiver::new(standard_webhooks());
    for kept in 0..(1 << headers.len()) - 1 {
        let some = headers.iter().enumerate().filter(|(nth, _)| kept & (1 << nth) != 0);
        let some: Vec<_> = some.map(|(_, header)| *header).collect();
        receiver.refuses(request_with(&some, body.clone()), RejectionReason::MissingHeader).await;
    }
    // Empty ones are there, and no better.
    for empty in 0..headers.len() {
        let mut some = headers;
        some[empty].1 = "";
        let expected = match some[empty].0 {
            "webhook-timestamp" => RejectionReason::MalformedTimestamp,
            _ => RejectionReason::MalformedHeader,
        };
        receiver.refuses(request_with(&some, body.clone()), expected).await;
    }
    assert_eq!(receiver.stats().macs(), 0, "the body was read");
    receiver.handles(request_with(&headers, body)).await;
}

/// Verifiers read the first of several lines, or the last, while what stands before them reads another.
#[tokio::test]
async fn first_of_several_header_lines() {
    let body = caspay_body("evt_1");
    let (now, signature) = (NOW.to_string(), standard_signature(format!("msg_1.{NOW}.{body}").as_bytes()));
    let right = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", now.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    let wrong = ["msg_2", "1600000000", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="];
    let receiver = Receiver::new(standard_webhooks());
    for (nth, (name, value)) in right.iter().enumerate() {
        for (first, second) in [(*value, wrong[nth]), (wrong[nth], *value), (*value, *value), (*value, "")] {
            let others = right.iter().filter(|(other, _)| other != name).copied();
            let headers: Vec<_> = others.chain([(*name, first), (*name, second)]).collect();
            receiver.refuses(request_with(&headers, body.clone()), RejectionReason::DuplicateHeader).await;
        }
    }
    assert_eq!(receiver.stats().macs(), 0, "the body was read");
    receiver.handles(request_with(&right, body)).await;
}

#[tokio::test]
async fn first_of_several_lines_of_a_required_header() {
    let scheme = acme().with_required_header("x-acme-version", "1").with_further_headers(["x-acme-second"]);
    let receiver = Receiver::new(build(scheme));
    let body = caspay_body("evt_1");
    let right = const_hex::encode(hmac_sha256(SECRET, body.as_bytes()));
    let sent = |headers: &[(&'static str, &str)]| request_with(headers, body.clone());
    let (signature, second) = (("x-acme-signature", right.as_str()), ("x-acme-second", right.as_str()));
    let version = ("x-acme-version", "1");
    for twice in [
        [signature, version, version].as_slice(),
        &[signature, version, ("x-acme-version", "2")],
        &[signature, second, second, version],
        &[second, second, version],
    ] {
        receiver.refuses(sent(twice), RejectionReason::DuplicateHeader).await;
    }
    let other = sent(&[signature, ("x-acme-version", "2")]);
    receiver.refuses(other, RejectionReason::UnsupportedAlgorithm).await;
    receiver.refuses(sent(&[signature]), RejectionReason::MissingHeader).await;
    receiver.handles(sent(&[second, version])).await;
}

/// A provider whose timestamp is in this unit, in a header of its own or among pairs.
fn stamped(unit: TimestampUnit) -> [Provider; 2] {
    let pairs = acme().with_pairs("t", "v1");
    let header = acme().with_timestamp_header("x-acme-time");
    [pairs, header].map(|scheme| build(scheme.with_timestamp_unit(unit)))
}

/// A request that is rightly signed with this very text as its timestamp.
fn signed_at_text(provider: &Provider, text: &str) -> Request<Body> {
    let secret = secret();
    SignedRequest::new(provider, &secret, caspay_body("evt_1")).with_timestamp_text(text).build()
}

/// Verifiers multiply, subtract or negate what they read, and panic or wrap.
#[tokio::test]
async fn timestamps_that_overflow() {
    use RejectionReason::{MalformedTimestamp, TimestampInFuture, TimestampTooOld};

    let numbers = [
        (i64::MAX.to_string(), MalformedTimestamp),
        (i64::MIN.to_string(), MalformedTimestamp),
        (u64::MAX.to_string(), MalformedTimestamp),
        (u128::MAX.to_string(), MalformedTimestamp),
        ("9".repeat(20), MalformedTimestamp),
        ("9".repeat(19), MalformedTimestamp),
        ("1000000000000000000".to_owned(), MalformedTimestamp),
        ("9".repeat(18), TimestampInFuture),
        ((i64::MAX / 1_000).to_string(), TimestampInFuture),
        ((i64::MAX / 1_000 + 1).to_string(), TimestampInFuture),
        ((u64::MAX / 1_000 + 1).to_string(), TimestampInFuture),
        ("0".to_owned(), TimestampTooOld),
    ];
    let dates = [
        ("9999-12-31T23:59:59.999999999Z", TimestampInFuture),
        ("9999-12-31T23:59:59-23:59", TimestampInFuture),
        ("10000-01-01T00:00:00Z", MalformedTimestamp),
        ("99999999999-01-01T00:00:00Z", MalformedTimestamp),
        ("-0001-01-01T00:00:00Z", MalformedTimestamp),
        ("0000-00-00T00:00:00Z", MalformedTimestamp),
        ("0001-01-01T00:00:00+23:59", MalformedTimestamp),
        ("1969-12-31T23:59:59Z", MalformedTimestamp),
        ("1970-01-01T00:00:00+00:01", MalformedTimestamp),
        ("1970-01-01T00:00:00Z", TimestampTooOld),
        ("2023-11-14T22:13:20+99:99", MalformedTimestamp),
        ("2023-11-14T22:13:99999999999Z", MalformedTimestamp),
    ];
    let dates = dates.map(|(text, reason)| (text.to_owned(), reason));
    for (unit, right, texts) in [
        (TimestampUnit::Seconds, NOW.to_string(), &numbers),
        (TimestampUnit::Millis, format!("{NOW}000"), &numbers),
        (TimestampUnit::Rfc3339, "2023-11-14T22:13:20Z".to_owned(), &dates),
    ] {
        for provider in stamped(unit) {
            let receiver = Receiver::new(provider.clone());
            for (text, reason) in texts {
                receiver.refuses(signed_at_text(&provider, text), *reason).await;
            }
            receiver.handles(signed_at_text(&provider, &right)).await;
        }
    }
}

/// The widest window takes whatever is written as a time, without overflow on the way.
#[tokio::test]
async fn timestamps_in_the_widest_window() {
    for (unit, text) in [
        (TimestampUnit::Seconds, "999999999999999999"),
        (TimestampUnit::Millis, "999999999999999999"),
        (TimestampUnit::Rfc3339, "9999-12-31T23:59:59-23:59"),
    ] {
        for provider in stamped(unit) {
            let wide = provider.with_tolerance(Duration::MAX).unwrap();
            for now in [0, NOW, 1 << 40] {
                let receiver = Receiver::new(wide.clone());
                receiver.clock.set_unix(now);
                receiver.handles(signed_at_text(&wide, text)).await;
            }
        }
    }
}

/// Verifiers read a number out of a text that they then do not sign, or sign a number that they then write anew:
/// `parseInt` reads `1700000000abc` as a time, `Number` reads `0x6553f100` as one.
#[tokio::test]
async fn timestamp_text_altered() {
    let alterations: [fn(&str) -> String; 17] = [
        |text| format!("+{text}"),
        |text| format!("-{text}"),
        |text| format!("0{text}"),
        |text| format!("{text}.0"),
        |text| format!("{text}."),
        |text| format!("{text}abc"),
        |text| format!("{text};"),
        |text| format!("{text}e0"),
        |text| format!("{text}n"),
        |text| format!("{text}_"),
        |text| format!("\"{text}\""),
        |text| format!("{text}\u{a0}"),
        |text| format!("\u{feff}{text}"),
        |text| format!("{} {}", &text[..5], &text[5..]),
        |text| format!("{text} {text}"),
        |text| format!("0x{:x}", text.parse::<u64>().unwrap_or_default()),
        |text| text.replace('0', "\u{660}"),
    ];
    for (unit, right) in [
        (TimestampUnit::Seconds, NOW.to_string()),
        (TimestampUnit::Millis, format!("{NOW}000")),
        (TimestampUnit::Rfc3339, "2023-11-14T22:13:20Z".to_owned()),
    ] {
        for provider in stamped(unit) {
            let receiver = Receiver::new(provider.clone());
            for alter in alterations {
                let altered = alter(&right);
                // Signed as it is written, and signed as it is meant.
                receiver
                    .refuses(signed_at_text(&provider, &altered), RejectionReason::MalformedTimestamp)
                    .await;
                let mut meant = signed_at_text(&provider, &right);
                for value in meant.headers_mut().values_mut() {
                    let text = String::from_utf8(value.as_bytes().to_vec()).unwrap();
                    *value = HeaderValue::from_bytes(text.replace(&right, &altered).as_bytes()).unwrap();
                }
                receiver.refuses(meant, RejectionReason::MalformedTimestamp).await;
            }
            assert_eq!(receiver.stats().macs(), 0, "the body was read");
            receiver.handles(signed_at_text(&provider, &right)).await;
        }
    }
}

/// The same, read out of the signed body.
#[tokio::test]
async fn timestamp_text_altered_in_the_body() {
    let scheme = acme().with_timestamp_in_body("/at").with_timestamp_unit(TimestampUnit::Millis);
    let provider = build(scheme);
    let receiver = Receiver::new(provider.clone());
    let (millis, secret) = (NOW * 1_000, secret());
    let request = |at: &str| {
        let body = format!(r#"{{"id":"evt_1","type":"t","at":{at}}}"#);
        SignedRequest::new(&provider, &secret, body).build()
    };
    for at in [
        format!("-{millis}"),
        format!("{millis}.0"),
        format!("{millis}e0"),
        format!("\"+{millis}\""),
        format!("\"0{millis}\""),
        format!("\" {millis}\""),
        format!("\"{millis}abc\""),
        format!("[{millis}]"),
        u64::MAX.to_string(),
        u128::MAX.to_string(),
        "1e999".to_owned(),
        "null".to_owned(),
        format!("{millis},\"at\":{millis}"),
        format!("1,\"\\u0061t\":{millis}"),
    ] {
        receiver.refuses(request(&at), RejectionReason::MalformedTimestamp).await;
    }
    receiver.refuses(request("0"), RejectionReason::TimestampTooOld).await;
    receiver.refuses(request(&"9".repeat(18)), RejectionReason::TimestampInFuture).await;
    receiver.handles(request(&millis.to_string())).await;
}
