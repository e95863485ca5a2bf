//! Grammars of a signature header. All of it is attacker-chosen bytes: nothing is copied but what decodes.

use memchr::memchr_iter;
use smallvec::SmallVec;

use super::encoding::Encoding;
use super::mac::token_digest;
use crate::error::RejectionReason;

/// A rotation needs two candidates. Sixteen leave room; a header of thousands is an attack on our time.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// Other items are skipped, but not without end.
const MAX_ITEMS: usize = 2 * MAX_CANDIDATES;

/// Longer than any sixteen candidates: refused without a look at it.
pub(crate) const MAX_HEADER_BYTES: usize = 4_096;

/// How the value of a signature header is written: one signature, unless it is made of [`Pairs`] or a [`List`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderGrammar(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Whole { prefix: String, optional: bool },
    Pairs(Pairs),
    List(List),
}

/// A header of items with a key and a value, such as `t=1700000000,v1=ab..,v1=cd..`: any number of signatures under
/// one key, and perhaps a timestamp under another.
///
/// Blanks around an item are ignored, and so are items with other keys. A second timestamp, or an empty signature,
/// refuses the request.
///
/// ```
/// use tower_webhook::{Pairs, Provider, SignatureScheme};
///
/// // Acme-Signature: ts=1700000000;h1=ab..;h1=cd..
/// let acme = SignatureScheme::hmac_sha256("acme-signature")
///     .with_grammar(Pairs::new("h1").with_timestamp("ts").with_separators(b';', b'='));
/// assert!(Provider::builder("acme").signature(acme).build()?.signs_timestamp());
///
/// // A key that holds a separator could never be found.
/// let broken = SignatureScheme::hmac_sha256("acme-signature").with_grammar(Pairs::new("h=1"));
/// assert!(Provider::builder("acme").signature(broken).build().is_err());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pairs {
    signature: String,
    timestamp: Option<String>,
    between_items: u8,
    within_item: u8,
}

impl Pairs {
    /// Signatures stand under the key `signature`: `v1=ab..,v1=cd..`.
    pub fn new(signature: impl Into<String>) -> Self {
        Self { signature: signature.into(), timestamp: None, between_items: b',', within_item: b'=' }
    }

    /// Items are `version,signature`, separated by blanks, as Standard Webhooks has it: `v1,AA== v1,BB== v1a,CC==`.
    pub fn versions(version: impl Into<String>) -> Self {
        Self::new(version).with_separators(b' ', b',')
    }

    /// The item with the key `key` is the timestamp.
    pub fn with_timestamp(mut self, key: impl Into<String>) -> Self {
        self.timestamp = Some(key.into());
        self
    }

    /// What stands between two items, and between a key and its value. Default: `,` and `=`.
    pub fn with_separators(mut self, between_items: u8, within_item: u8) -> Self {
        (self.between_items, self.within_item) = (between_items, within_item);
        self
    }
}

/// A header of signatures one after the other, such as `v0=ab..,cd..`, or of a timestamp and then signatures, such as
/// `1700000000,ab..,cd..`. Blanks around an item are ignored; an empty signature refuses the request.
///
/// ```
/// use tower_webhook::{List, Provider, SignatureScheme};
///
/// let acme = SignatureScheme::hmac_sha256("acme-signature").with_grammar(List::new().with_timestamp_first());
/// assert!(Provider::builder("acme").signature(acme).build()?.signs_timestamp());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct List {
    prefix: String,
    timestamp_first: bool,
    between_items: u8,
}

impl List {
    /// Signatures separated by commas.
    pub fn new() -> Self {
        Self { prefix: String::new(), timestamp_first: false, between_items: b',' }
    }

    /// What stands once, before the first item. It is required, and its case counts.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The first item is the timestamp.
    pub fn with_timestamp_first(mut self) -> Self {
        self.timestamp_first = true;
        self
    }

    /// What stands between two items. Default: `,`.
    pub fn with_separator(mut self, between_items: u8) -> Self {
        self.between_items = between_items;
        self
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Pairs> for HeaderGrammar {
    fn from(pairs: Pairs) -> Self {
        Self(Shape::Pairs(pairs))
    }
}

impl From<List> for HeaderGrammar {
    fn from(list: List) -> Self {
        Self(Shape::List(list))
    }
}

impl HeaderGrammar {
    pub(super) fn whole(prefix: String, optional: bool) -> Self {
        Self(Shape::Whole { prefix, optional })
    }

    /// Whether the timestamp stands in the signature header.
    pub(super) fn has_timestamp(&self) -> bool {
        match &self.0 {
            Shape::Whole { .. } => false,
            Shape::Pairs(pairs) => pairs.timestamp.is_some(),
            Shape::List(list) => list.timestamp_first,
        }
    }

    /// What makes the grammar one that nothing can follow, with signatures written in `encoding`; `None` for tokens.
    pub(super) fn problem(&self, encoding: Option<Encoding>) -> Option<&'static str> {
        let between = |byte: u8| {
            (byte.is_ascii_punctuation() || byte == b' ')
                && !encoding.is_some_and(|encoding| encoding.writes(byte))
        };
        let within = |byte: u8| byte.is_ascii_punctuation() || byte == b' ';
        let prefix = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        match &self.0 {
            Shape::Whole { prefix: text, .. } | Shape::List(List { prefix: text, .. }) if !prefix(text) => {
                Some("a prefix cannot stand in a header")
            }
            Shape::Whole { prefix, optional: true }
                if encoding.is_none_or(|encoding| {
                    prefix.bytes().all(|byte| encoding.writes(byte) && byte != b'=')
                }) =>
            {
                Some("an optional prefix could be the beginning of a signature")
            }
            Shape::Whole { .. } => None,
            Shape::Pairs(pairs) => {
                let Pairs { between_items, within_item, .. } = *pairs;
                let legal = |key: &str| {
                    let stops =
                        |byte: u8| byte == between_items || byte == within_item || !byte.is_ascii_graphic();
                    !key.is_empty() && !key.bytes().any(stops)
                };
                if between_items == within_item || !between(between_items) || !within(within_item) {
                    Some("the separators of pairs are one, or can stand in a signature, or not in a header")
                } else if !legal(&pairs.signature) || !pairs.timestamp.as_deref().is_none_or(legal) {
                    Some("a key of a pair is empty or holds a separator")
                } else if pairs.timestamp.as_ref() == Some(&pairs.signature) {
                    Some("timestamp and signature have the same key")
                } else {
                    None
                }
            }
            Shape::List(list) => (!between(list.between_items))
                .then_some("the separator of a list can stand in a signature, or not in a header"),
        }
    }

    /// Parses a header's value.
    #[inline]
    pub(super) fn parse<'h>(&self, value: &'h [u8], found: &mut Found<'h>) -> Result<(), RejectionReason> {
        if value.len() > MAX_HEADER_BYTES {
            return Err(RejectionReason::MalformedHeader);
        }
        let value = trim_blanks(value);
        match &self.0 {
            Shape::Whole { prefix, optional } => match without_prefix(value, prefix) {
                None if *optional => found.push(value),
                None => Err(RejectionReason::MalformedHeader),
                Some(signature) => found.push(signature),
            },
            Shape::Pairs(pairs) => pairs.parse(value, found),
            Shape::List(list) => list.parse(value, found),
        }
    }

    /// Writes a value, for signing.
    #[cfg(feature = "testing")]
    pub(super) fn write(&self, timestamp: &str, signature: &str) -> String {
        match &self.0 {
            Shape::Whole { prefix, .. } => format!("{prefix}{signature}"),
            Shape::Pairs(pairs) => {
                let (between, within) = (char::from(pairs.between_items), char::from(pairs.within_item));
                let signature = format!("{}{within}{signature}", pairs.signature);
                match &pairs.timestamp {
                    Some(key) => format!("{key}{within}{timestamp}{between}{signature}"),
                    None => signature,
                }
            }
            Shape::List(List { prefix, timestamp_first: true, between_items }) => {
                format!("{prefix}{timestamp}{}{signature}", char::from(*between_items))
            }
            Shape::List(list) => format!("{}{signature}", list.prefix),
        }
    }

    /// In words, with `signature` in the place of a signature.
    pub(super) fn describe(&self, signature: &str) -> String {
        match &self.0 {
            Shape::Whole { prefix, optional: true } => format!("[{prefix}]<{signature}>"),
            Shape::Whole { prefix, .. } => format!("{prefix}<{signature}>"),
            Shape::Pairs(pairs) => {
                let (between, within) = (char::from(pairs.between_items), char::from(pairs.within_item));
                let timestamp =
                    pairs.timestamp.as_ref().map(|key| format!("{key}{within}<timestamp>{between}"));
                format!("{}{}{within}<{signature}>", timestamp.unwrap_or_default(), pairs.signature)
            }
            Shape::List(list) => {
                let between = char::from(list.between_items);
                let timestamp =
                    if list.timestamp_first { format!("<timestamp>{between}") } else { String::new() };
                format!("{}{timestamp}<{signature}>{between}..", list.prefix)
            }
        }
    }
}

impl Pairs {
    #[inline]
    fn parse<'h>(&self, value: &'h [u8], found: &mut Found<'h>) -> Result<(), RejectionReason> {
        let signature_key = self.signature.as_bytes();
        // No item has an empty key: where there is no timestamp, none is found.
        let timestamp_key = self.timestamp.as_deref().unwrap_or_default().as_bytes();
        for item in items(value, self.between_items) {
            // What is not ours is skipped, whatever it looks like: a later version of the header may bring it.
            let item = item?;
            let Some(end) = item.iter().position(|byte| *byte == self.within_item) else { continue };
            let (key, text) = (&item[..end], &item[end + 1..]);
            if key == signature_key {
                found.push(text)?;
            } else if !key.is_empty() && key == timestamp_key {
                found.set_timestamp(text)?;
            }
        }
        Ok(())
    }
}

impl List {
    fn parse<'h>(&self, value: &'h [u8], found: &mut Found<'h>) -> Result<(), RejectionReason> {
        let value = without_prefix(value, &self.prefix).ok_or(RejectionReason::MalformedHeader)?;
        for (index, item) in items(value, self.between_items).enumerate() {
            if index == 0 && self.timestamp_first {
                found.set_timestamp(item?)?;
            } else {
                found.push(item?)?;
            }
        }
        Ok(())
    }
}

/// The items of a list, without the blanks around them; an error in the place of one too many.
#[inline]
fn items(value: &[u8], separator: u8) -> impl Iterator<Item = Result<&[u8], RejectionReason>> {
    let mut begin = 0;
    memchr_iter(separator, value).chain([value.len()]).enumerate().map(move |(index, end)| {
        let item = trim_blanks(&value[begin..end]);
        begin = end + 1;
        if index < MAX_ITEMS { Ok(item) } else { Err(RejectionReason::MalformedHeader) }
    })
}

fn without_prefix<'a>(value: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    // Comparing with an empty slice is slow on machines whose `memcmp` loads from its dangling pointer.
    if prefix.is_empty() { Some(value) } else { value.strip_prefix(prefix.as_bytes()) }
}

/// Senders and proxies pad with blanks; a header's own grammar never starts or ends with one.
#[inline]
pub(super) fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// How a candidate becomes the bytes that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoding {
    /// To exactly so many bytes.
    Encoded(Encoding, usize),
    /// A token, by its digest.
    Token,
}

/// What signature headers hold.
#[derive(Debug)]
pub(crate) struct Found<'h> {
    decoding: Decoding,
    max_candidates: usize,
    presented: usize,
    /// Candidates that decode, one after the other.
    pub(super) candidates: SmallVec<[u8; 64]>,
    /// The timestamp, where the header has one.
    pub(super) timestamp: Option<&'h [u8]>,
}

impl<'h> Found<'h> {
    #[inline]
    pub(super) fn new(decoding: Decoding, max_candidates: usize) -> Self {
        Self { decoding, max_candidates, presented: 0, candidates: SmallVec::new(), timestamp: None }
    }

    /// Counts a candidate and keeps it where it decodes: one that does not is no match, but it takes nothing from
    /// the others.
    #[inline]
    fn push(&mut self, text: &[u8]) -> Result<(), RejectionReason> {
        self.presented += 1;
        if text.is_empty() || self.presented > self.max_candidates {
            return Err(RejectionReason::MalformedHeader);
        }
        let candidates = &mut self.candidates;
        match self.decoding {
            Decoding::Encoded(encoding, size) => {
                encoding.decode(text, size, |bytes| candidates.extend_from_slice(bytes));
            }
            Decoding::Token => candidates.extend_from_slice(&token_digest(text)),
        }
        Ok(())
    }

    #[inline]
    fn set_timestamp(&mut self, text: &'h [u8]) -> Result<(), RejectionReason> {
        match self.timestamp.replace(text) {
            None => Ok(()),
            Some(_) => Err(RejectionReason::MalformedHeader),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.presented == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 32] = [0xab; 32];
    const HEX: Decoding = Decoding::Encoded(Encoding::Hex, 32);

    fn hex() -> String {
        "ab".repeat(32)
    }

    /// What a scheme makes of a header: the candidates, and the timestamp's text.
    fn parse(grammar: &HeaderGrammar, value: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), RejectionReason> {
        let mut found = Found::new(HEX, MAX_CANDIDATES);
        grammar.parse(value, &mut found)?;
        if found.is_empty() || grammar.has_timestamp() && found.timestamp.is_none() {
            return Err(RejectionReason::MalformedHeader);
        }
        if found.candidates.is_empty() {
            return Err(RejectionReason::SignatureMismatch);
        }
        Ok((found.candidates.to_vec(), found.timestamp.map(<[u8]>::to_vec)))
    }

    fn whole(prefix: &str, value: &str) -> Result<Vec<u8>, RejectionReason> {
        let found = parse(&HeaderGrammar::whole(prefix.to_owned(), false), value.as_bytes());
        found.map(|(candidates, timestamp)| {
            assert_eq!(timestamp, None);
            candidates
        })
    }

    fn pairs(value: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), RejectionReason> {
        parse(&Pairs::new("v1").with_timestamp("t").into(), value.as_bytes())
    }

    #[test]
    fn a_whole_value_is_one_candidate() {
        for value in [hex(), hex().to_uppercase(), format!(" \t{} ", hex())] {
            assert_eq!(whole("", &value).unwrap(), MAC);
        }
        assert_eq!(whole("sha256=", &format!("sha256={}", hex())).unwrap(), MAC);
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
    fn a_prefix_may_be_optional() {
        let grammar = HeaderGrammar::whole("sha256=".to_owned(), true);
        for value in [hex(), format!("sha256={}", hex())] {
            assert_eq!(parse(&grammar, value.as_bytes()).unwrap().0, MAC);
        }
        for value in ["sha1=ab", "SHA256=ab", &format!("sha256=sha256={}", hex())] {
            assert_eq!(parse(&grammar, value.as_bytes()).unwrap_err(), RejectionReason::SignatureMismatch);
        }
        for value in ["", "sha256="] {
            assert_eq!(parse(&grammar, value.as_bytes()).unwrap_err(), RejectionReason::MalformedHeader);
        }
    }

    #[test]
    fn what_does_not_decode_is_no_match() {
        let half = "ab".repeat(16);
        let long = format!("{}ab", hex());
        let odd = format!("{}a", hex());
        let prefixed = format!("0x{}", hex());
        let prefixed_short = format!("0x{}", "ab".repeat(31));
        let inner_blank = format!("ab {}", "ab".repeat(30));
        let digit = format!("zz{}", "ab".repeat(31));
        for value in [&half, &long, &odd, &prefixed, &prefixed_short, &inner_blank, &digit, "ab"] {
            assert_eq!(whole("", value).unwrap_err(), RejectionReason::SignatureMismatch, "{value}");
        }
        for value in ["", " ", "\t"] {
            assert_eq!(whole("", value).unwrap_err(), RejectionReason::MalformedHeader);
        }
        let grammar = HeaderGrammar::whole(String::new(), false);
        assert_eq!(parse(&grammar, &[0xff; 64]).unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn pairs_carry_a_timestamp_and_candidates() {
        let found = pairs(&format!(" t=1700000000 , v0=zz,v1={},\tv1=zz", hex())).unwrap();
        assert_eq!(found, (MAC.to_vec(), Some(b"1700000000".to_vec())));
        for other in ["", "x", "x=1", "t", "v1", "=", "x=,y"] {
            assert!(pairs(&format!("{other},t=1,{other},v1={},{other}", hex())).is_ok(), "{other}");
        }
        let two = pairs(&format!("v1={},t=,v1={}", hex(), "01".repeat(32))).unwrap();
        assert_eq!(two, ([MAC, [1; 32]].concat(), Some(Vec::new())));
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
        assert_eq!(pairs("t=1,v1=zz").unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn versions_are_separated_by_blanks() {
        let versions = |value: &str| parse(&Pairs::versions("v1").into(), value.as_bytes());
        let hex = hex();
        for value in [
            format!("v1,{hex}"),
            format!("v1a,zz v1,{hex}"),
            format!("  v1,{hex}  v2,x "),
            format!("v1 ,x v1,{hex} ,v1"),
        ] {
            assert_eq!(versions(&value).unwrap(), (MAC.to_vec(), None), "{value}");
        }
        for value in ["v1,", "", "v1", &format!("v1a,{hex}"), &format!("V1,{hex}"), &format!("v1={hex}")] {
            assert_eq!(versions(value).unwrap_err(), RejectionReason::MalformedHeader, "{value}");
        }
        // Without a blank between them two items are one, which does not decode.
        let joined = format!("v1,{hex},v1,{hex}");
        assert_eq!(versions(&joined).unwrap_err(), RejectionReason::SignatureMismatch);
    }

    #[test]
    fn lists_go_by_position() {
        let hex = hex();
        let list = |grammar: List, value: &str| parse(&grammar.into(), value.as_bytes());
        let prefixed = || List::new().with_prefix("v0=");
        assert_eq!(list(prefixed(), &format!("v0={hex}, {hex}")).unwrap().0, [MAC, MAC].concat());
        for value in [hex.clone(), format!("v1={hex}"), format!("v0={hex},"), "v0=".to_owned()] {
            assert_eq!(list(prefixed(), &value).unwrap_err(), RejectionReason::MalformedHeader, "{value}");
        }
        let stamped = || List::new().with_timestamp_first();
        let found = list(stamped(), &format!("17 , {hex}")).unwrap();
        assert_eq!(found, (MAC.to_vec(), Some(b"17".to_vec())));
        for value in ["17", "17,", ""] {
            assert_eq!(list(stamped(), value).unwrap_err(), RejectionReason::MalformedHeader, "{value}");
        }
        let found = list(List::new().with_separator(b'|'), &format!("{hex}|{hex}")).unwrap();
        assert_eq!(found.0, [MAC, MAC].concat());
    }

    #[test]
    fn candidates_and_items_are_capped() {
        assert_eq!((MAX_CANDIDATES, MAX_ITEMS, MAX_HEADER_BYTES), (16, 32, 4_096));
        let with = |candidates: usize, others: usize| {
            let mut value = "t=1".to_owned();
            value.push_str(&format!(",v1={}", hex()).repeat(candidates));
            value.push_str(&",x=1".repeat(others));
            pairs(&value)
        };
        assert_eq!(with(MAX_CANDIDATES, 0).unwrap().0.len(), 32 * MAX_CANDIDATES);
        assert_eq!(with(MAX_CANDIDATES + 1, 0).unwrap_err(), RejectionReason::MalformedHeader);
        assert!(with(1, MAX_ITEMS - 2).is_ok());
        assert_eq!(with(1, MAX_ITEMS - 1).unwrap_err(), RejectionReason::MalformedHeader);
        let long = |length: usize| pairs(&format!("t=1,v1={},x={}", hex(), "y".repeat(length - 74)));
        assert!(long(MAX_HEADER_BYTES).is_ok());
        assert_eq!(long(MAX_HEADER_BYTES + 1).unwrap_err(), RejectionReason::MalformedHeader);
    }

    #[test]
    fn tokens_are_kept_as_digests() {
        let mut found = Found::new(Decoding::Token, MAX_CANDIDATES);
        HeaderGrammar::whole(String::new(), false).parse(b" token ", &mut found).unwrap();
        assert_eq!(found.candidates.as_slice(), token_digest(b"token"));
    }

    #[test]
    fn what_nothing_could_follow_is_a_problem() {
        let keys = "a key of a pair is empty or holds a separator";
        for pairs in [
            Pairs::new(""),
            Pairs::new("v=1"),
            Pairs::new("v1").with_timestamp(""),
            Pairs::new("v1").with_timestamp("t,"),
            Pairs::new("v1").with_timestamp(" t"),
            Pairs::versions("v 1"),
        ] {
            assert_eq!(
                HeaderGrammar::from(pairs.clone()).problem(Some(Encoding::Hex)),
                Some(keys),
                "{pairs:?}"
            );
        }
        let same = Pairs::new("v1").with_timestamp("v1");
        assert_eq!(
            HeaderGrammar::from(same).problem(Some(Encoding::Hex)),
            Some("timestamp and signature have the same key")
        );
        let separators = "the separators of pairs are one, or can stand in a signature, or not in a header";
        for (between, within) in
            [(b',', b','), (b'\n', b'='), (b',', 0), (0xff, b'='), (b'a', b'='), (b',', b'Z')]
        {
            let pairs = Pairs::new("v1").with_separators(between, within);
            assert_eq!(HeaderGrammar::from(pairs).problem(Some(Encoding::Hex)), Some(separators));
        }
        let list = List::new().with_separator(b'\r');
        assert!(HeaderGrammar::from(list).problem(Some(Encoding::Hex)).is_some());
        for fine in
            [Pairs::new("v1").into(), Pairs::versions("v1").into(), HeaderGrammar::from(List::default())]
        {
            assert_eq!(fine.problem(Some(Encoding::Hex)), None);
        }
    }
}
