//! The text of a secret, read in other ways than the provider's.

use zeroize::Zeroizing;

use crate::provider::Provider;
use crate::signature::{KeyEncoding, ResolvedScheme};

/// Prefixes by which providers mark secrets and keys.
const PREFIXES: [&str; 3] = ["whsec_", "whpk_", "whsk_"];

/// A key, and how the text has to be taken to give it.
pub(super) struct Reading {
    pub(super) how: String,
    pub(super) key: Zeroizing<Vec<u8>>,
}

/// Other readings of a text than `configured`, each another key.
pub(super) fn readings(scheme: &ResolvedScheme, text: &str, configured: Option<&[u8]>) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    let mut add = |how: String, key: Vec<u8>| {
        let key = Zeroizing::new(key);
        let is_known = configured == Some(&**key) || readings.iter().any(|reading| reading.key == key);
        if !key.is_empty() && !is_known {
            readings.push(Reading { how, key });
        }
    };
    let clean = cleaned(text);
    let as_it_is = (text, "");
    let without_ends = (clean, " without the white space or quotes around it");
    for (text, cleaning) in [as_it_is].into_iter().chain((clean != text).then_some(without_ends)) {
        let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix));
        let bare = prefix.and_then(|prefix| text.strip_prefix(*prefix)).unwrap_or(text);
        let without = prefix.map(|prefix| format!(" without `{prefix}`")).unwrap_or_default();
        if scheme.is_asymmetric() {
            add_asymmetric(bare, cleaning, &mut add);
            continue;
        }
        add(format!("taken as text{cleaning}"), text.as_bytes().to_vec());
        add(format!("taken as text{without}{cleaning}"), bare.as_bytes().to_vec());
        if prefix.is_none() {
            add(
                format!("taken as text with `whsec_` before it{cleaning}"),
                [b"whsec_", bare.as_bytes()].concat(),
            );
        }
        for encoding in [KeyEncoding::Hex, KeyEncoding::Base64, KeyEncoding::Base64Url] {
            if let Some(key) = encoding.decode(bare) {
                add(format!("decoded from {}{without}{cleaning}", encoding.name()), key.to_vec());
            }
        }
    }
    readings
}

/// Keys of 32 bytes, out of what the tools of key pairs write.
#[cfg(feature = "ed25519")]
fn add_asymmetric(text: &str, cleaning: &str, add: &mut impl FnMut(String, Vec<u8>)) {
    use crate::signature::trial::public_key;

    // The lines between those of PEM, if that is what it is.
    let lines = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim);
    let text = Zeroizing::new(lines.collect::<String>());
    for encoding in [KeyEncoding::Hex, KeyEncoding::Base64, KeyEncoding::Base64Url] {
        let Some(bytes) = encoding.decode(&text) else { continue };
        let name = encoding.name();
        // A public key within DER ends it; so does a seed, and the key of libsodium begins with one.
        let (public, seed) = match bytes.len() {
            32 => (Some(&bytes[..]), Some(&bytes[..])),
            44 => (Some(&bytes[12..]), None),
            48 => (None, Some(&bytes[16..])),
            64 => (None, Some(&bytes[..32])),
            _ => (None, None),
        };
        if let Some(public) = public {
            let der = if bytes.len() == 44 { ", as the key within DER" } else { "" };
            add(format!("decoded from {name}{der}{cleaning}"), public.to_vec());
        }
        if let Some(seed) = seed.and_then(|seed| <&[u8; 32]>::try_from(seed).ok()) {
            let how = format!("replaced by its public key: it is the private one, in {name}{cleaning}");
            add(how, public_key(seed).to_vec());
        }
    }
}

#[cfg(not(feature = "ed25519"))]
fn add_asymmetric(_: &str, _: &str, _: &mut impl FnMut(String, Vec<u8>)) {}

/// Without white space, quotes, and what a shell or a file of variables may have left at the ends.
pub(super) fn cleaned(text: &str) -> &str {
    let mut clean = text;
    loop {
        let mut rest = clean.trim().trim_start_matches('\u{feff}');
        for end in ["\\n", "\\r", ";", ","] {
            rest = rest.strip_suffix(end).unwrap_or(rest);
        }
        for quote in ['"', '\'', '`'] {
            rest = rest.strip_prefix(quote).unwrap_or(rest);
            rest = rest.strip_suffix(quote).unwrap_or(rest);
        }
        if rest.len() == clean.len() {
            return rest;
        }
        clean = rest;
    }
}

/// What a text is in all likelihood, where that is no signing secret.
pub(super) fn resembles(provider: &Provider, scheme: &ResolvedScheme, text: &str) -> Option<&'static str> {
    let text = cleaned(text);
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    // Paystack signs with the secret key of its API.
    if provider.name() == "paystack" && begins(&["sk_"]) {
        None
    } else if begins(&["sk_", "pk_", "rk_", "sk-", "Bearer ", "Basic "]) {
        Some("an API key")
    } else if begins(&["-----BEGIN"]) && !scheme.is_asymmetric() {
        Some("a key of a key pair, in PEM")
    } else if begins(&["whpk_", "whsk_"]) && !scheme.is_asymmetric() {
        Some("a key of a key pair")
    } else if begins(&["whsec_"]) && scheme.is_asymmetric() {
        Some("a shared secret, and this provider signs with a key pair")
    } else if begins(&["we_", "ep_"]) {
        Some("the id of an endpoint")
    } else if begins(&["http://", "https://"]) {
        Some("a URL")
    } else if begins(&["$", "{{", "<"]) {
        Some("a placeholder that nothing was put into")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::find;
    use crate::signature::Authenticator;

    fn with_scheme<T>(preset: &str, ask: impl FnOnce(&ResolvedScheme) -> T) -> T {
        match find(preset).unwrap().provider().authenticator() {
            Authenticator::Data(scheme) => ask(scheme),
            Authenticator::Code { .. } => unreachable!("presets are data"),
        }
    }

    fn how(preset: &str, text: &str, key: &[u8]) -> Option<String> {
        let readings = with_scheme(preset, |scheme| readings(scheme, text, None));
        readings.into_iter().find(|reading| *reading.key == key).map(|reading| reading.how)
    }

    #[test]
    fn texts_are_read_in_every_way() {
        for (text, key, expected) in [
            ("0123456789abcdef", &b"0123456789abcdef"[..], "taken as text"),
            ("whsec_key", b"key", "taken as text without `whsec_`"),
            ("key", b"whsec_key", "taken as text with `whsec_` before it"),
            ("6b6579", b"key", "decoded from hex"),
            ("whsec_a2V5", b"key", "decoded from base64 without `whsec_`"),
            ("_-8=", b"\xff\xef", "decoded from base64url"),
            (" \"key\"\n", b"key", "taken as text without the white space or quotes around it"),
            ("'key';", b"key", "taken as text without the white space or quotes around it"),
            ("key\\n", b"key", "taken as text without the white space or quotes around it"),
        ] {
            assert_eq!(how("caspay", text, key).as_deref(), Some(expected), "{text:?}");
        }
        assert!(with_scheme("caspay", |scheme| readings(scheme, " 'whsec_6b6579' ", None)).len() <= 12);
        assert!(with_scheme("caspay", |scheme| readings(scheme, "", None)).len() <= 1);
    }

    #[test]
    fn the_configured_key_is_not_read_again() {
        let readings = with_scheme("caspay", |scheme| readings(scheme, "key", Some(b"key")));
        assert!(readings.iter().all(|reading| *reading.key != b"key"));
    }

    #[cfg(feature = "ed25519")]
    #[test]
    fn key_pairs_are_found_in_every_wrapping() {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        // RFC 8032, 7.1, TEST 1.
        let seed =
            const_hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public =
            const_hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let spki = [&const_hex::decode("302a300506032b6570032100").unwrap()[..], &public].concat();
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
        let pkcs8 = [&const_hex::decode("302e020100300506032b657004220420").unwrap()[..], &seed].concat();
        for (text, expected) in [
            (const_hex::encode(&public), "decoded from hex"),
            (format!("whpk_{}", STANDARD.encode(&public)), "decoded from base64"),
            (pem, "as the key within DER"),
            (const_hex::encode(&seed), "it is the private one"),
            (STANDARD.encode(pkcs8), "it is the private one"),
            (const_hex::encode([seed, public.clone()].concat()), "it is the private one"),
        ] {
            let how = how("discord", &text, &public);
            assert!(how.as_ref().is_some_and(|how| how.contains(expected)), "{text}: {how:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_recognised() {
        let resembles = |preset, text| {
            with_scheme(preset, |scheme| resembles(&find(preset).unwrap().provider(), scheme, text))
        };
        for text in ["sk_live_1", "pk_test_1", " \"rk_live_1\"", "Bearer x"] {
            assert_eq!(resembles("stripe", text), Some("an API key"), "{text}");
        }
        assert_eq!(resembles("stripe", "we_1"), Some("the id of an endpoint"));
        assert_eq!(resembles("stripe", "-----BEGIN PUBLIC KEY-----"), Some("a key of a key pair, in PEM"));
        assert_eq!(resembles("stripe", "https://shop.example"), Some("a URL"));
        for text in ["${SECRET}", "{{ secret }}", "<secret>"] {
            assert!(resembles("stripe", text).unwrap().contains("placeholder"), "{text}");
        }
        assert_eq!(resembles("stripe", "whsec_1"), None);
        assert_eq!(resembles("paystack", "sk_live_1"), None);
        assert_eq!(resembles("paystack", "pk_live_1"), Some("an API key"));
        #[cfg(feature = "ed25519")]
        assert!(resembles("discord", "whsec_1").unwrap().contains("key pair"));
    }
}
