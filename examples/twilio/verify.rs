//! How Twilio signs: `X-Twilio-Signature` is the base64 of an HMAC-SHA1, under the account's auth token, over the
//! request's URL and then the form fields, sorted, each name followed by its value. A body that is no form is not
//! among that; its SHA-256 is in the URL, as the query parameter `bodySHA256`.
//!
//! Such a message cannot be described as data: it depends on fields of the body, on a media type and on a parameter.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{CONTENT_TYPE, HeaderName};
use percent_encoding::percent_decode;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tower_webhook::{Authentic, RejectionReason, Secret, Unverified, Verify};

/// The scheme and the authority, with the path, are those of [`Provider::with_public_url`], which is what Twilio
/// calls; the query is the request's own, since Twilio adds `bodySHA256` to it.
///
/// Where fields end is not signed: `a=bc` and `ab=c` are one message. Treat a field as a hint where that matters, and
/// ask Twilio's API before money moves.
///
/// [`Provider::with_public_url`]: tower_webhook::Provider::with_public_url
#[derive(Debug)]
pub(crate) struct Twilio;

pub(crate) static SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");

impl Verify for Twilio {
    fn signature_header(&self) -> &HeaderName {
        &SIGNATURE
    }

    fn needs_public_url(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "HMAC-SHA1 in base64 over the URL and the sorted form fields".to_owned()
    }

    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason> {
        let presented =
            STANDARD.decode(request.header(&SIGNATURE)?).map_err(|_| RejectionReason::SignatureMismatch)?;
        let query = request.uri().query();
        let url = request.public_url().ok_or(RejectionReason::SignatureMismatch)?;
        let fields = signed_fields(request, query)?;

        // Twilio has signed with and without the port at one time or another: either is accepted, both are computed.
        let [plain, with_port] = urls(url, query).ok_or(RejectionReason::SignatureMismatch)?;
        let matches = is_signed(secret, &plain, &fields, &presented)
            | is_signed(secret, &with_port, &fields, &presented);
        if !bool::from(matches) {
            return Err(RejectionReason::SignatureMismatch);
        }
        // The body's bytes are not what is signed, the fields are: in another order, or encoded in another way, they
        // are the same event.
        Ok(Authentic::new().with_identity([plain, fields].concat()))
    }
}

/// The fields of a form as they are signed. What is no form adds nothing, and must then be covered by its digest.
fn signed_fields(request: &Unverified<'_>, query: Option<&str>) -> Result<String, RejectionReason> {
    let is_form = match request.header(&CONTENT_TYPE) {
        Ok(value) => {
            let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        }
        Err(RejectionReason::MissingHeader) => false,
        Err(reason) => return Err(reason),
    };
    let has_digest = is_body_digested(request.body(), query)?;
    if is_form {
        return sorted_fields(request.body());
    }
    // Without a digest whoever holds a signature over a URL alone could put any body beside it.
    if !has_digest && !request.body().is_empty() {
        return Err(RejectionReason::SignatureMismatch);
    }
    Ok(String::new())
}

/// Whether the query has the digest of the body. A digest of something else, or two of them, refuse the request.
fn is_body_digested(body: &[u8], query: Option<&str>) -> Result<bool, RejectionReason> {
    let mut digests = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| decoded(name.as_bytes()).is_some_and(|name| name == "bodySHA256"));
    let Some((_, digest)) = digests.next() else { return Ok(false) };
    let mut expected = [0; 32];
    let read = digest.len() == 64 && const_hex::decode_to_slice(digest, &mut expected).is_ok();
    let right = bool::from(Sha256::digest(body).as_slice().ct_eq(&expected));
    if read && right && digests.next().is_none() { Ok(true) } else { Err(RejectionReason::SignatureMismatch) }
}

/// Names and values, sorted, each pair once.
fn sorted_fields(body: &[u8]) -> Result<String, RejectionReason> {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || decoded(halves.next().unwrap_or_default());
        Some((half()?, half()?))
    });
    // Bytes that are no text could not be told from other ones once they are replaced.
    let pairs = pairs.collect::<Option<BTreeSet<_>>>().ok_or(RejectionReason::SignatureMismatch)?;
    Ok(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

/// A name or a value of a form; `None` where it is no UTF-8.
pub(crate) fn decoded(text: &[u8]) -> Option<String> {
    let blanks: Cow<'_, [u8]> = if text.contains(&b'+') {
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
    } else {
        text.into()
    };
    percent_decode(&blanks).decode_utf8().ok().map(Cow::into_owned)
}

/// The URL that was called, without its port and with it, be it written or the scheme's own.
fn urls(public: &str, query: Option<&str>) -> Option<[String; 2]> {
    let public = public.split('?').next()?;
    let (scheme, rest) = public.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // After the name: what stands before an `@` may hold a colon, and so may an IPv6 address in its brackets.
    let name = authority.rfind('@').map_or(0, |at| at + 1);
    let name = authority[name..].rfind(']').map_or(name, |bracket| name + bracket);
    let (host, port) = match authority[name..].find(':') {
        Some(colon) => (&authority[..name + colon], &authority[name + colon + 1..]),
        None => (authority, ""),
    };
    let port = match (port, scheme) {
        ("", "https") => "443",
        ("", _) => "80",
        (port, _) => port,
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some([format!("{scheme}://{host}{path}{query}"), format!("{scheme}://{host}:{port}{path}{query}")])
}

fn is_signed(secret: &Secret, url: &str, fields: &str, presented: &[u8]) -> Choice {
    // HMAC takes keys of any length, so that this cannot fail; where it did, nothing would match.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()) else {
        return Choice::from(0);
    };
    mac.update(url.as_bytes());
    mac.update(fields.as_bytes());
    mac.finalize().into_bytes().as_slice().ct_eq(presented)
}
