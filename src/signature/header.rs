//! Grammars of a signature header. All of it is attacker-chosen bytes: nothing is copied but what decodes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr_iter;
use smallvec::SmallVec;

use super::mac::MAC_BYTES;
use super::scheme::Encoding;
use super::timestamp::parse_unix_seconds;
use crate::error::RejectionReason;

/// A rotation needs two candidates. Sixteen leave room; a header of thousands is an attack on our time.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// Other items are skipped, but not without end.
const MAX_PAIRS: usize = 2 * MAX_CANDIDATES;

/// Longer than any sixteen candidates: refused without a look at it.
const MAX_HEADER_BYTES: usize = 4_096;

/// The shape of a header's value.
#[derive(Clone, Debug)]
pub(crate) enum Grammar {
    /// One signature after a fixed prefix, which may be empty.
    Whole { prefix: String },
    /// `key=value` pairs separated by commas.
    Pairs { timestamp: String, signature: String },
}

/// What a request presents as proof.
#[derive(Debug)]
pub(crate) struct Presented {
    /// Candidates that decode to the size of a MAC; never empty.
    pub(crate) candidates: SmallVec<[[u8; MAC_BYTES]; 2]>,
    /// The timestamp that was signed with the body.
    pub(crate) timestamp: Option<SignedTimestamp>,
}

impl Presented {
    /// The timestamp as it is signed; empty where there is none.
    pub(crate) fn timestamp_text(&self) -> &[u8] {
        self.timestamp.as_ref().map_or(&[], |timestamp| &timestamp.text)
    }
}

/// A timestamp as number and as text: the text is what was signed.
#[derive(Debug)]
pub(crate) struct SignedTimestamp {
    pub(crate) seconds: u64,
    pub(crate) text: SmallVec<[u8; 18]>,
}

/// Parses a header's value.
#[inline]
pub(crate) fn parse(
    grammar: &Grammar,
    encoding: Encoding,
    value: &[u8],
) -> Result<Presented, RejectionReason> {
    if value.len() > MAX_HEADER_BYTES {
        return Err(RejectionReason::MalformedHeader);
    }
    let value = trim_blanks(value);
    let mut candidates = Candidates { encoding, presented: 0, decoded: SmallVec::new() };
    let timestamp = match grammar {
        Grammar::Whole { prefix } => {
            candidates.push(without_prefix(value, prefix).ok_or(RejectionReason::MalformedHeader)?)?;
            None
        }
        Grammar::Pairs { timestamp, signature } => {
            Some(parse_pairs(value, timestamp.as_bytes(), signature.as_bytes(), &mut candidates)?)
        }
    };
    if candidates.presented == 0 {
        return Err(RejectionReason::MalformedHeader);
    }
    if candidates.decoded.is_empty() {
        return Err(RejectionReason::SignatureMismatch);
    }
    Ok(Presented { candidates: candidates.decoded, timestamp })
}

#[inline]
fn parse_pairs(
    value: &[u8],
    timestamp_key: &[u8],
    signature_key: &[u8],
    candidates: &mut Candidates,
) -> Result<SignedTimestamp, RejectionReason> {
    let mut timestamp = None;
    let mut begin = 0;
    for (index, end) in memchr_iter(b',', value).chain([value.len()]).enumerate() {
        if index == MAX_PAIRS {
            return Err(RejectionReason::MalformedHeader);
        }
        let pair = trim_blanks(&value[begin..end]);
        begin = end + 1;
        // What is not ours is skipped, whatever it looks like: a later version of the header may bring it.
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (key, text) = (&pair[..equals], &pair[equals + 1..]);
        if key == signature_key {
            candidates.push(text)?;
        } else if key == timestamp_key && timestamp.replace(text).is_some() {
            return Err(RejectionReason::MalformedHeader);
        }
    }
    let text = timestamp.filter(|_| candidates.presented > 0).ok_or(RejectionReason::MalformedHeader)?;
    let seconds = parse_unix_seconds(text).ok_or(RejectionReason::MalformedTimestamp)?;
    Ok(SignedTimestamp { seconds, text: SmallVec::from_slice(text) })
}

fn without_prefix<'a>(value: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    // Comparing with an empty slice is slow on machines whose `memcmp` loads from its dangling pointer.
    if prefix.is_empty() { Some(value) } else { value.strip_prefix(prefix.as_bytes()) }
}

struct Candidates {
    encoding: Encoding,
    presented: usize,
    decoded: SmallVec<[[u8; MAC_BYTES]; 2]>,
}

impl Candidates {
    /// Counts a candidate and keeps it where it decodes: one that does not is no match, but it takes
    /// nothing from the others.
    #[inline]
    fn push(&mut self, text: &[u8]) -> Result<(), RejectionReason> {
        self.presented += 1;
        if text.is_empty() || self.presented > MAX_CANDIDATES {
            return Err(RejectionReason::MalformedHeader);
        }
        self.decoded.extend(decode(self.encoding, text));
        Ok(())
    }
}

#[inline]
fn decode(encoding: Encoding, text: &[u8]) -> Option<[u8; MAC_BYTES]> {
    match encoding {
        Encoding::Hex => {
            // The length first: the decoder alone would take a leading `0x`.
            if text.len() != 2 * MAC_BYTES {
                return None;
            }
            const_hex::decode_to_array(text).ok()
        }
        Encoding::Base64 => {
            let mut buffer = [0; MAC_BYTES + 1];
            // 32 bytes are 43 characters and one of padding; the buffer takes what 44 characters can hold.
            if text.len() != 44 {
                return None;
            }
            let length = STANDARD.decode_slice(text, &mut buffer).ok()?;
            buffer[..length].try_into().ok()
        }
    }
}

/// Senders and proxies pad with blanks; a header's own grammar never starts or ends with one.
#[inline]
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; MAC_BYTES] = [0xab; MAC_BYTES];

    fn hex() -> String {
        "ab".repeat(MAC_BYTES)
    }

    fn whole(prefix: &str, value: &str) -> Result<Presented, RejectionReason> {
        parse(&Grammar::Whole { prefix: prefix.to_owned() }, Encoding::Hex, value.as_bytes())
    }

    fn pairs(value: &str) -> Result<Presented, RejectionReason> {
        let grammar = Grammar::Pairs { timestamp: "t".to_owned(), signature: "v1".to_owned() };
        parse(&grammar, Encoding::Hex, value.as_bytes())
    }

    #[test]
    fn a_whole_value_is_one_candidate() {
        for value in [hex(), hex().to_uppercase(), format!(" \t{} ", hex())] {
            let presented = whole("", &value).unwrap();
            assert_eq!(presented.candidates.as_slice(), [MAC]);
            assert!(presented.timestamp.is_none());
        }
        assert_eq!(whole("sha256=", &format!("sha256={}", hex())).unwrap().candidates.as_slice(), [MAC]);
    }

    #[test]
    fn a_prefix_is_required_and_its_case_counts() {
        let error = |value: &str| whole("sha256=", value).unwrap_err();
        for prefix in ["", "SHA256=", "sha512=", "sha1=", "sha256"] {
            assert_eq!(error(&format!("{prefix}{}", hex())), RejectionReason::MalformedHeader);
        }
        assert_eq!(error("sha256="), RejectionReason::MalformedHeader);
        assert_eq!(whole("", &format!("sha256={}", hex())).unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn what_does_not_decode_is_no_match() {
        let half = "ab".repeat(MAC_BYTES / 2);
        let long = format!("{}ab", hex());
        let odd = format!("{}a", hex());
        let prefixed = format!("0x{}", hex());
        let prefixed_short = format!("0x{}", "ab".repeat(MAC_BYTES - 1));
        let inner_blank = format!("ab {}", "ab".repeat(MAC_BYTES - 2));
        let digit = format!("zz{}", "ab".repeat(MAC_BYTES - 1));
        for value in [&half, &long, &odd, &prefixed, &prefixed_short, &inner_blank, &digit, "ab"] {
            assert_eq!(whole("", value).unwrap_err(), RejectionReason::SignatureMismatch, "{value}");
        }
        for value in ["", " ", "\t"] {
            assert_eq!(whole("", value).unwrap_err(), RejectionReason::MalformedHeader);
        }
        let bytes = [0xff; 64];
        let grammar = Grammar::Whole { prefix: String::new() };
        assert_eq!(parse(&grammar, Encoding::Hex, &bytes).unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn base64_is_padded_and_canonical() {
        let base64 =
            |text: &str| parse(&Grammar::Whole { prefix: String::new() }, Encoding::Base64, text.as_bytes());
        let good = STANDARD.encode(MAC);
        assert_eq!(base64(&good).unwrap().candidates.as_slice(), [MAC]);
        // Same 32 bytes, but an unused bit of the last character is set.
        let loose = good.replace("s=", "t=");
        assert_ne!(loose, good);
        let unpadded = good.trim_end_matches('=');
        let (longer, shorter) = (STANDARD.encode([0xab; 33]), STANDARD.encode([0xab; 31]));
        assert_eq!((longer.len(), shorter.len()), (44, 44));
        for text in [&loose, unpadded, &longer, &shorter, &format!("{unpadded}A="), &hex()] {
            assert_eq!(base64(text).unwrap_err(), RejectionReason::SignatureMismatch, "{text}");
        }
    }

    #[test]
    fn pairs_carry_a_timestamp_and_candidates() {
        let presented = pairs(&format!(" t=1700000000 , v0=zz,v1={},\tv1=zz", hex())).unwrap();
        assert_eq!(presented.candidates.as_slice(), [MAC]);
        let timestamp = presented.timestamp.unwrap();
        for other in ["", "x", "x=1", "t", "v1", "=", "x=,y"] {
            assert!(pairs(&format!("{other},t=1,{other},v1={},{other}", hex())).is_ok(), "{other}");
        }
        assert_eq!((timestamp.seconds, timestamp.text.as_slice()), (1_700_000_000, &b"1700000000"[..]));
    }

    #[test]
    fn pairs_are_refused_where_they_are_ambiguous() {
        let hex = hex();
        for value in [
            String::new(),
            format!("v1={hex}"),
            "t=1".to_owned(),
            format!("t=1,v0={hex}"),
            format!("t=1,T=1,V1={hex}"),
            format!("t=1,t=1,v1={hex}"),
            format!("t=1,v1={hex},v1="),
            format!("t=1;v1={hex}"),
            format!("t =1,v1={hex}"),
        ] {
            assert_eq!(pairs(&value).unwrap_err(), RejectionReason::MalformedHeader, "{value}");
        }
        for t in ["", "abc", "+1", "01", "1.5", "0x10", "-5"] {
            let value = format!("t={t},v1={hex}");
            assert_eq!(pairs(&value).unwrap_err(), RejectionReason::MalformedTimestamp, "{value}");
        }
        assert_eq!(pairs("t=1,v1=zz").unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn candidates_and_pairs_are_capped() {
        assert_eq!((MAX_CANDIDATES, MAX_PAIRS, MAX_HEADER_BYTES), (16, 32, 4_096));
        let with = |candidates: usize, others: usize| {
            let mut value = "t=1".to_owned();
            value.push_str(&format!(",v1={}", hex()).repeat(candidates));
            value.push_str(&",x=1".repeat(others));
            pairs(&value)
        };
        assert_eq!(with(MAX_CANDIDATES, 0).unwrap().candidates.len(), MAX_CANDIDATES);
        assert_eq!(with(MAX_CANDIDATES + 1, 0).unwrap_err(), RejectionReason::MalformedHeader);
        assert!(with(1, MAX_PAIRS - 2).is_ok());
        assert_eq!(with(1, MAX_PAIRS - 1).unwrap_err(), RejectionReason::MalformedHeader);
        let long = |length: usize| pairs(&format!("t=1,v1={},x={}", hex(), "y".repeat(length - 74)));
        assert!(long(MAX_HEADER_BYTES).is_ok());
        assert_eq!(long(MAX_HEADER_BYTES + 1).unwrap_err(), RejectionReason::MalformedHeader);
    }
}
