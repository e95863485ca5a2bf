//! What is no scheme, or no envelope, and what the build says of it. Each has a twin that differs in one setting.

use std::time::Duration;

use tower_webhook::{
    ConfigError, Encoding, Envelope, HeaderNames, KeyEncoding, List, Pairs, Part, Provider, Secret,
    SignatureScheme,
};

fn scheme() -> SignatureScheme {
    SignatureScheme::hmac_sha256("x-acme-signature")
}

/// What the build of this scheme says.
fn build(scheme: SignatureScheme) -> Result<Provider, ConfigError> {
    Provider::builder("acme").signature(scheme).build()
}

#[track_caller]
fn refuses(scheme: SignatureScheme, expected: &ConfigError) {
    assert_eq!(build(scheme).unwrap_err(), *expected);
}

#[track_caller]
fn refuses_as_invalid(scheme: SignatureScheme, problem: &'static str) {
    refuses(scheme, &ConfigError::InvalidScheme { problem });
}

#[track_caller]
fn takes(scheme: SignatureScheme) {
    build(scheme).unwrap();
}

#[test]
fn tolerance_without_a_signed_timestamp() {
    let tolerance = Duration::from_secs(60);
    let error = ConfigError::ToleranceWithoutTimestamp;
    refuses(scheme().with_tolerance(tolerance), &error);
    refuses(scheme().with_prefix("sha256=").with_tolerance(tolerance), &error);
    refuses(scheme().with_grammar(Pairs::versions("v1")).with_tolerance(tolerance), &error);
    refuses(scheme().with_grammar(List::new()).with_tolerance(tolerance), &error);
    refuses(SignatureScheme::dangerous_token("x-acme-token").with_tolerance(tolerance), &error);
    for stamped in [
        scheme().with_pairs("t", "v1"),
        scheme().with_grammar(List::new().with_timestamp_first()),
        scheme().with_timestamp_header("x-acme-time"),
        scheme().with_timestamp_in_body("/at"),
    ] {
        takes(stamped.with_tolerance(tolerance));
    }
}

#[test]
fn timestamp_that_is_not_signed() {
    let unsigned = "the header has a timestamp that is not signed";
    refuses_as_invalid(scheme().with_pairs("t", "v1").with_signed([Part::Body]), unsigned);
    refuses_as_invalid(scheme().with_timestamp_header("x-acme-time").with_signed([Part::Body]), unsigned);
    // The very header is signed, but as a header: its text would not be read as a time.
    let as_header = [Part::header("x-acme-time"), Part::literal("."), Part::Body];
    refuses_as_invalid(scheme().with_timestamp_header("x-acme-time").with_signed(as_header), unsigned);
    takes(scheme().with_timestamp_header("x-acme-time").with_signed([Part::Timestamp, Part::Body]));

    let absent = "a timestamp is signed, but the header has none";
    refuses_as_invalid(scheme().with_signed([Part::Timestamp, Part::Body]), absent);
    let in_body = scheme().with_timestamp_in_body("/at").with_signed([Part::Timestamp, Part::Body]);
    refuses_as_invalid(in_body, absent);

    let twice = "the timestamp is in the signature header and elsewhere";
    refuses_as_invalid(scheme().with_pairs("t", "v1").with_timestamp_header("x-acme-time"), twice);
    refuses_as_invalid(scheme().with_timestamp_in_body("/at").with_pairs("t", "v1"), twice);

    let outside =
        scheme().with_timestamp_in_body("/at").with_signed([Part::literal("x")]).dangerous_body_not_signed();
    refuses_as_invalid(outside, "the timestamp is in the body, which is not signed");
}

#[test]
fn body_that_is_not_signed() {
    let problem = "the body is not signed";
    let without_body = || scheme().with_signed([Part::header("x-acme-id"), Part::Url, Part::Method]);
    refuses_as_invalid(without_body(), problem);
    refuses_as_invalid(scheme().with_signed([Part::literal("body")]), problem);
    refuses_as_invalid(scheme().with_pairs("t", "v1").with_signed([Part::Timestamp]), problem);
    takes(without_body().dangerous_body_not_signed());
    takes(scheme().with_signed([Part::BodyDigest(Encoding::Hex)]));
    refuses_as_invalid(
        scheme().dangerous_body_not_signed(),
        "the body is signed: take `dangerous_body_not_signed` out",
    );
    let twice = scheme().with_signed([Part::Body, Part::literal("."), Part::Body]);
    refuses_as_invalid(twice, "the body is signed more than once");
}

#[test]
fn template_of_nothing() {
    let problem = "nothing is signed";
    refuses_as_invalid(scheme().with_signed([]), problem);
    refuses_as_invalid(scheme().with_signed([]).dangerous_body_not_signed(), problem);
    takes(scheme().with_signed([Part::Body]));
}

#[test]
fn token_that_signs_something() {
    let token = || SignatureScheme::dangerous_token("x-acme-token");
    let problem = "a token signs nothing: neither body nor timestamp";
    refuses_as_invalid(token().with_signed([Part::Body]), problem);
    refuses_as_invalid(token().dangerous_body_not_signed(), problem);
    refuses_as_invalid(token().with_timestamp_in_body("/at"), problem);
    takes(token());
}

#[test]
fn grammar_that_nothing_follows() {
    let pairs = |pairs: Pairs| scheme().with_grammar(pairs);
    let separators = "the separators of pairs are one, or can stand in a signature, or not in a header";
    let illegal = [(b',', b','), (b'\n', b'='), (b',', b'\0'), (b',', 0x80), (b'\t', b'='), (b'a', b'=')];
    for (between, within) in illegal {
        refuses_as_invalid(pairs(Pairs::new("v1").with_separators(between, within)), separators);
    }
    let key = "a key of a pair is empty or holds a separator";
    for illegal in ["", "v=1", "v,1", "v 1", "v\t1"] {
        refuses_as_invalid(pairs(Pairs::new(illegal)), key);
        refuses_as_invalid(pairs(Pairs::new("v1").with_timestamp(illegal)), key);
    }
    refuses_as_invalid(scheme().with_pairs("v1", "v1"), "timestamp and signature have the same key");
    refuses_as_invalid(
        scheme().with_grammar(List::new().with_separator(b'\r')),
        "the separator of a list can stand in a signature, or not in a header",
    );
    refuses_as_invalid(scheme().with_prefix("v1\n"), "a prefix cannot stand in a header");
    let beginning = "an optional prefix could be the beginning of a signature";
    refuses_as_invalid(scheme().with_optional_prefix("ab"), beginning);
    takes(scheme().with_optional_prefix("ab="));
    takes(pairs(Pairs::new("v1").with_timestamp("t").with_separators(b';', b':')));
    takes(scheme().with_grammar(List::new().with_separator(b' ')));
}

#[test]
fn names_that_no_header_has() {
    for name in ["", "x acme", "x-acme:", "x-acmé", "x\n"] {
        let error = ConfigError::InvalidHeaderName { name: name.to_owned() };
        refuses(SignatureScheme::hmac_sha256(name), &error);
        refuses(SignatureScheme::hmac_sha256(["x-acme", name]), &error);
        refuses(scheme().with_further_headers([name]), &error);
        refuses(scheme().with_required_header(name, "1"), &error);
        refuses(scheme().with_key_id_header(name), &error);
        refuses(scheme().with_timestamp_header(name), &error);
        refuses(scheme().with_signed([Part::header(name), Part::Body]), &error);
        let envelope = Provider::builder("acme").signature(scheme());
        let envelope = envelope.envelope(Envelope::json("/id").with_event_type_header(name));
        assert_eq!(envelope.build().unwrap_err(), error);
    }
    let none = ConfigError::InvalidHeaderName { name: String::new() };
    refuses(SignatureScheme::hmac_sha256(HeaderNames::from([])), &none);
    refuses_as_invalid(
        scheme().with_required_header("x-acme-version", "1\n"),
        "a required header has a value that cannot stand in a header",
    );
    takes(scheme().with_required_header("x-acme-version", "1"));
}

#[test]
fn pointers_that_are_none() {
    let error = |path: &str| build(scheme().with_timestamp_in_body(path)).unwrap_err();
    for path in ["at", "/at~2"] {
        assert!(matches!(error(path), ConfigError::InvalidPath { path: found, .. } if found == path));
    }
    takes(scheme().with_timestamp_in_body("/a/t"));
}

/// Whoever captured a request could give the event another id, and it would run again.
#[test]
fn id_in_a_header_that_is_not_signed() {
    let build = |scheme: SignatureScheme, envelope: Envelope| {
        Provider::builder("acme").signature(scheme).envelope(envelope).build()
    };
    let unsigned = ConfigError::UnsignedId { header: "x-acme-id".to_owned() };
    let by_header = || Envelope::identified_by_header("x-acme-id");
    let signed = |name: &str| scheme().with_signed([Part::header(name), Part::literal("."), Part::Body]);
    assert_eq!(build(scheme(), by_header()).unwrap_err(), unsigned);
    assert_eq!(build(signed("x-acme-other"), by_header()).unwrap_err(), unsigned);
    assert_eq!(build(SignatureScheme::dangerous_token("x-acme-token"), by_header()).unwrap_err(), unsigned);
    assert!(build(signed("x-acme-id"), by_header()).is_ok());

    // By another name it may come unsigned.
    let either = Envelope::identified_by_header(["x-acme-id", "x-other-id"]);
    assert_eq!(build(signed("x-acme-id"), either.clone()).unwrap_err(), unsigned);
    let both =
        scheme().with_signed([Part::header(["x-acme-id", "x-other-id"]), Part::literal("."), Part::Body]);
    assert!(build(both, either).is_ok());

    // It is information, until the user accepts the risk, and no provider without such a header can.
    let told = Envelope::identified_by_digest().with_unsigned_id_header("x-acme-id");
    assert!(build(scheme(), told).unwrap().identify_by_unsigned_header().is_ok());
    for envelope in [Envelope::identified_by_digest(), Envelope::json("/id"), Envelope::identified_by_body()]
    {
        let error = build(scheme(), envelope).unwrap().identify_by_unsigned_header().unwrap_err();
        let problem = "the provider's envelope has no id in an unsigned header";
        assert_eq!(error, ConfigError::InvalidPath { path: "id".to_owned(), problem });
    }
}

#[test]
fn key_that_does_not_decode() {
    let verifier = |scheme: SignatureScheme, text: &str| {
        let secret = Secret::weak(text).unwrap();
        build(scheme).unwrap().verifier(secret).map(|_| ())
    };
    let undecodable =
        |expected| Err(ConfigError::UndecodableSecret { label: "current".to_owned(), expected });
    let hex = || scheme().with_key_encoding(KeyEncoding::Hex);
    for text in ["zz", "0x0011", "001", "00 11", "whsec_0011"] {
        assert_eq!(verifier(hex(), text), undecodable("hex"), "{text}");
    }
    let base64 = || scheme().with_key_encoding(KeyEncoding::Base64).with_key_prefix("whsec_");
    for text in ["whsec_a", "whsec_****", "MfKQ9r8GKY-rTwjUPD8ILPZIo2LaLaSw", "whpk_MfKQ", "whsec_whsec_MfKQ"]
    {
        assert_eq!(verifier(base64(), text), undecodable("base64"), "{text}");
    }
    let url = || scheme().with_key_encoding(KeyEncoding::Base64Url);
    assert_eq!(verifier(url(), "MfKQ9r8GKY+rTwjUPD8ILPZIo2LaLaSw"), undecodable("base64url"));
    assert_eq!(verifier(hex(), "0011"), Ok(()));
    assert_eq!(verifier(base64(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
    assert_eq!(verifier(base64(), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
    assert_eq!(verifier(url(), "MfKQ9r8GKY-rTwjUPD8ILPZIo2LaLaSw"), Ok(()));

    // Nothing but a prefix that the crate does not know of is no key either.
    let prefixed = scheme().with_key_prefix("acme_");
    assert_eq!(verifier(prefixed, "acme_"), Err(ConfigError::EmptySecret));
}

/// Decoded, a key of enough characters may be too short.
#[test]
fn key_that_is_short_once_decoded() {
    let provider = build(scheme().with_key_encoding(KeyEncoding::Hex)).unwrap();
    let digits = "00112233445566778899aabbccddee";
    let error = provider.verifier(Secret::new(digits).unwrap()).unwrap_err();
    assert_eq!(error, ConfigError::ShortSecret { length: 15 });
    assert!(provider.verifier(Secret::weak(digits).unwrap()).is_ok());
    assert!(provider.verifier(Secret::new(format!("{digits}ff")).unwrap()).is_ok());
}

#[test]
fn key_that_is_no_public_key() {
    let provider = build(SignatureScheme::ed25519("x-acme-signature")).unwrap();
    let verifier = |digits: &str| provider.verifier(Secret::new(digits).unwrap()).map(|_| ());
    let error = Err(ConfigError::UndecodableSecret {
        label: "current".to_owned(),
        expected: "an Ed25519 public key",
    });
    // The key of RFC 8032, test 1.
    let right = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(verifier(right), Ok(()));
    assert_eq!(verifier(&right[2..]), error);
    assert_eq!(verifier(&format!("{right}00")), error);
    // No point of the curve, and the neutral one, under which one signature is right for every message.
    assert_eq!(verifier(&format!("02{}", "00".repeat(31))), error);
    assert_eq!(verifier(&format!("01{}", "00".repeat(31))), error);
}

#[test]
fn url_that_is_missing_or_none() {
    for part in [Part::Url, Part::UrlWithoutQuery, Part::UrlPath] {
        let provider = || build(scheme().with_signed([part.clone(), Part::Body])).unwrap();
        let verifier = |provider: Provider| provider.verifier(Secret::new("a-signing-secret").unwrap());
        assert_eq!(verifier(provider()).unwrap_err(), ConfigError::NoPublicUrl);
        assert!(verifier(provider().with_public_url("https://shop.example/hooks?a=1").unwrap()).is_ok());
        for url in ["", "/hooks", "shop.example/hooks", "ftp://shop.example", "https://", "https://a/#b"] {
            let error = provider().with_public_url(url).unwrap_err();
            assert_eq!(error, ConfigError::InvalidUrl { url: url.to_owned() });
        }
    }
}
