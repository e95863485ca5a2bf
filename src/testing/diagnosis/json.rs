//! One JSON document as different programs write it.
//!
//! Values keep their text and members their order, unless the form sorts them: what a parser makes of `1.0` nobody can
//! undo, but nothing else is lost.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Longer documents are not rewritten: two dozen forms of them would take noticeable time.
pub(super) const MAX_BYTES: usize = 256 * 1_024;

/// Deeper ones neither. It is where the parser stops, too.
const MAX_DEPTH: usize = 128;

/// A form so many times as long as the body is none that its sender wrote.
const MAX_GROWTH: usize = 8;

/// Short bodies may grow more.
const MIN_LIMIT: usize = 64 * 1_024;

/// A document in pieces.
enum Node<'a> {
    /// A number, `true`, `false` or `null`, as it is written.
    Plain(&'a str),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// How a program writes JSON.
#[derive(Clone, Copy)]
struct Form {
    layout: Layout,
    sorted: bool,
    escapes: Escapes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Compact,
    /// Python's default: a blank after each comma and colon.
    Spaced,
    Indented(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// What must be.
    Few,
    /// All that is not ASCII, as Python does.
    NonAscii,
    /// That, and slashes, as PHP does.
    NonAsciiAndSlashes,
    /// Slashes.
    Slashes,
    /// `<`, `>` and `&`, as Go does.
    Html,
    /// Those, `=` and the apostrophe, as Gson does.
    HtmlAndMore,
    /// What could end a text of HTML or XML, all that is not ASCII, and that in capitals, as .NET does.
    Net,
}

/// The name of the first form of a document that is the one that was signed. Two forms may be the same bytes, which are
/// tried once. What is no JSON array or object, too long or too deep, is tried in none.
pub(super) fn find(body: &[u8], mut is_signed: impl FnMut(&[u8]) -> bool) -> Option<String> {
    let root = parse(body)?;
    let limit = (body.len() * MAX_GROWTH).max(MIN_LIMIT);
    // One at a time, in one buffer: those of a body that is nested deeply are many times as long as it is. Of those that
    // were tried their hashes will do: where two are the same by chance, one form remains untried.
    let (state, mut buffer, mut tried) = (RandomState::new(), String::new(), vec![]);
    tried.push(state.hash_one(body));
    all().into_iter().find_map(|form| {
        buffer.clear();
        form.write(&root, 0, limit, &mut buffer);
        if buffer.len() > limit {
            return None;
        }
        let hash = state.hash_one(buffer.as_bytes());
        if tried.contains(&hash) {
            return None;
        }
        tried.push(hash);
        is_signed(buffer.as_bytes()).then(|| form.name())
    })
}

/// How programs are known to write JSON.
fn all() -> Vec<Form> {
    let mut forms = Vec::new();
    let layouts = [Layout::Compact, Layout::Spaced, Layout::Indented("  "), Layout::Indented("    ")];
    for sorted in [false, true] {
        for layout in layouts {
            for escapes in [Escapes::Few, Escapes::NonAscii] {
                forms.push(Form { layout, sorted, escapes });
            }
        }
    }
    use Escapes::{Html, HtmlAndMore, Net, NonAsciiAndSlashes, Slashes};
    for escapes in [NonAsciiAndSlashes, Slashes, Html, HtmlAndMore, Net] {
        forms.push(Form { layout: Layout::Compact, sorted: false, escapes });
    }
    for (layout, escapes) in [("    ", NonAsciiAndSlashes), ("    ", Slashes), ("  ", Net)] {
        forms.push(Form { layout: Layout::Indented(layout), sorted: false, escapes });
    }
    forms.push(Form { layout: Layout::Indented("\t"), sorted: false, escapes: Escapes::Few });
    forms
}

fn parse(body: &[u8]) -> Option<Node<'_>> {
    if body.len() > MAX_BYTES {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    node(raw, 0).filter(|root| matches!(root, Node::Array(_) | Node::Object(_)))
}

fn node(raw: &RawValue, depth: usize) -> Option<Node<'_>> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' | b'[' if depth == MAX_DEPTH => None,
        b'{' => {
            let members = serde_json::Deserializer::from_str(text).deserialize_map(Members).ok()?;
            let members = members.into_iter().map(|(name, raw)| Some((name, node(raw, depth + 1)?)));
            Some(Node::Object(members.collect::<Option<_>>()?))
        }
        b'[' => {
            let items = serde_json::Deserializer::from_str(text).deserialize_seq(Items).ok()?;
            Some(Node::Array(items.into_iter().map(|raw| node(raw, depth + 1)).collect::<Option<_>>()?))
        }
        b'"' => Some(Node::Text(serde_json::from_str(text).ok()?)),
        _ => Some(Node::Plain(text)),
    }
}

/// Members in their order, those with the same name included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

impl Form {
    fn name(self) -> String {
        let layout = match self.layout {
            Layout::Compact => "compact",
            Layout::Spaced => "with a blank after each comma and colon, as Python writes it",
            Layout::Indented("\t") => "indented by tabs",
            Layout::Indented("  ") => "indented by 2 blanks",
            Layout::Indented(_) => "indented by 4 blanks",
        };
        let sorted = if self.sorted { ", its keys sorted" } else { "" };
        let escapes = match self.escapes {
            Escapes::Few => "",
            Escapes::NonAscii => ", other characters than ASCII escaped",
            Escapes::NonAsciiAndSlashes => {
                ", slashes and other characters than ASCII escaped, as PHP writes it"
            }
            Escapes::Slashes => ", slashes escaped",
            Escapes::Html => ", `<`, `>` and `&` escaped, as Go writes it",
            Escapes::HtmlAndMore => ", `<`, `>`, `&`, `=` and apostrophes escaped, as Gson writes it",
            Escapes::Net => {
                ", other characters than ASCII and those of HTML escaped in capitals, as .NET writes it"
            }
        };
        format!("{layout}{sorted}{escapes}")
    }

    /// Stops soon after `limit` bytes.
    fn write(self, node: &Node<'_>, depth: usize, limit: usize, to: &mut String) {
        match node {
            Node::Plain(text) => to.push_str(text),
            Node::Text(text) => self.write_text(text, to),
            Node::Array(items) => self.write_all("[]", items, depth, limit, to, |item, to| {
                self.write(item, depth + 1, limit, to);
            }),
            Node::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sorted {
                    members.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.write_all("{}", &members, depth, limit, to, |(name, value), to| {
                    self.write_text(name, to);
                    to.push_str(if self.layout == Layout::Compact { ":" } else { ": " });
                    self.write(value, depth + 1, limit, to);
                });
            }
        }
    }

    fn write_all<T>(
        self,
        brackets: &str,
        items: &[T],
        depth: usize,
        limit: usize,
        to: &mut String,
        write: impl Fn(&T, &mut String),
    ) {
        to.push_str(&brackets[..1]);
        let line = |depth: usize, to: &mut String| {
            if let Layout::Indented(indent) = self.layout {
                to.push('\n');
                (0..depth).for_each(|_| to.push_str(indent));
            }
        };
        for (index, item) in items.iter().enumerate() {
            if to.len() > limit {
                return;
            }
            if index > 0 {
                to.push_str(if self.layout == Layout::Spaced { ", " } else { "," });
            }
            line(depth + 1, to);
            write(item, to);
        }
        if !items.is_empty() {
            line(depth, to);
        }
        to.push_str(&brackets[1..]);
    }

    fn write_text(self, text: &str, to: &mut String) {
        use fmt::Write as _;

        let slashes = matches!(self.escapes, Escapes::Slashes | Escapes::NonAsciiAndSlashes);
        let non_ascii =
            matches!(self.escapes, Escapes::NonAscii | Escapes::NonAsciiAndSlashes | Escapes::Net);
        // Writing to a `String` cannot fail.
        to.push('"');
        for c in text.chars() {
            match c {
                '"' | '&' | '\'' | '+' | '<' | '>' | '`' | '\u{7f}' if self.escapes == Escapes::Net => {
                    _ = write!(to, "\\u{:04X}", u32::from(c));
                }
                '"' => to.push_str("\\\""),
                '\\' => to.push_str("\\\\"),
                '\n' => to.push_str("\\n"),
                '\r' => to.push_str("\\r"),
                '\t' => to.push_str("\\t"),
                '\u{8}' => to.push_str("\\b"),
                '\u{c}' => to.push_str("\\f"),
                '/' if slashes => to.push_str("\\/"),
                '<' | '>' | '&' if matches!(self.escapes, Escapes::Html | Escapes::HtmlAndMore) => {
                    _ = write!(to, "\\u{:04x}", u32::from(c));
                }
                '=' | '\'' | '\u{2028}' | '\u{2029}' if self.escapes == Escapes::HtmlAndMore => {
                    _ = write!(to, "\\u{:04x}", u32::from(c));
                }
                c if c < ' ' || !c.is_ascii() && non_ascii => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        _ = match self.escapes {
                            Escapes::Net => write!(to, "\\u{unit:04X}"),
                            _ => write!(to, "\\u{unit:04x}"),
                        };
                    }
                }
                c => to.push(c),
            }
        }
        to.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms that are tried, each with its name.
    fn forms(body: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut tried = Vec::new();
        assert_eq!(
            find(body, |form| {
                tried.push(form.to_vec());
                false
            }),
            None
        );
        let name = |form: &Vec<u8>| find(body, |other| *other == **form).unwrap();
        tried.into_iter().map(|form| (name(&form), form)).collect()
    }

    fn has(body: &str, form: &str) -> Option<String> {
        forms(body.as_bytes()).into_iter().find(|(_, bytes)| bytes == form.as_bytes()).map(|(name, _)| name)
    }

    /// By Python 3's `json.dumps`, JavaScript's `JSON.stringify`, PHP's `json_encode` and Go's `json.Marshal`.
    #[test]
    fn programs_are_imitated() {
        let compact = r#"{"b":[1.0,{}],"a":"é/<\n","c":[],"b":null}"#;
        for (form, name) in [
            (r#"{"b": [1.0, {}], "a": "\u00e9/<\n", "c": [], "b": null}"#, "Python"),
            (r#"{"b":[1.0,{}],"a":"\u00e9\/<\n","c":[],"b":null}"#, "PHP"),
            (r#"{"b":[1.0,{}],"a":"é\/<\n","c":[],"b":null}"#, "slashes escaped"),
            (r#"{"b":[1.0,{}],"a":"é/\u003c\n","c":[],"b":null}"#, "Go"),
            (r#"{"a":"é/<\n","b":[1.0,{}],"b":null,"c":[]}"#, "sorted"),
            (
                "{\n  \"b\": [\n    1.0,\n    {}\n  ],\n  \"a\": \"é/<\\n\",\n  \"c\": [],\n  \"b\": null\n}",
                "2 blanks",
            ),
            (
                "{\n\t\"b\": [\n\t\t1.0,\n\t\t{}\n\t],\n\t\"a\": \"é/<\\n\",\n\t\"c\": [],\n\t\"b\": null\n}",
                "tabs",
            ),
        ] {
            assert!(has(compact, form).is_some_and(|found| found.contains(name)), "{name}");
            // And back.
            assert!(has(form, compact).is_some() || name == "sorted", "{name}");
        }
    }

    /// By .NET's `JsonSerializer`, Gson's `toJson` and PHP's `json_encode` with `JSON_PRETTY_PRINT`.
    #[test]
    fn programs_with_escapes_of_their_own_are_imitated() {
        let compact = "{\"a\":\"\u{1f600}é<'=+&\\\"`/\\\\\",\"b\":[]}";
        for (form, name) in [
            (r#"{"a":"\uD83D\uDE00\u00E9\u003C\u0027=\u002B\u0026\u0022\u0060/\\","b":[]}"#, ".NET"),
            ("{\"a\":\"\u{1f600}é\\u003c\\u0027\\u003d+\\u0026\\\"`/\\\\\",\"b\":[]}", "Gson"),
            (
                "{\n    \"a\": \"\\ud83d\\ude00\\u00e9<'=+&\\\"`\\/\\\\\",\n    \"b\": []\n}",
                "indented by 4 blanks, slashes and other characters than ASCII escaped, as PHP",
            ),
            (
                "{\n  \"a\": \"\\uD83D\\uDE00\\u00E9\\u003C\\u0027=\\u002B\\u0026\\u0022\\u0060/\\\\\",\n  \"b\": []\n}",
                "2 blanks, other characters than ASCII and those of HTML",
            ),
        ] {
            assert!(has(compact, form).is_some_and(|found| found.contains(name)), "{name}");
            assert_eq!(has(form, compact).as_deref(), Some("compact"), "{name}");
        }
    }

    #[test]
    fn characters_beyond_the_first_plane_are_two_units() {
        assert!(has("[\"\u{1f600}\"]", r#"["\ud83d\ude00"]"#).is_some());
        assert!(has(r#"["\ud83d\ude00","\u001f"]"#, "[\"\u{1f600}\",\"\\u001f\"]").is_some());
    }

    #[test]
    fn what_is_no_document_has_no_forms() {
        for body in ["", "7", "\"x\"", "{", "[1,]", "{\"a\":1}x", "\u{feff}{}"] {
            assert!(forms(body.as_bytes()).is_empty(), "{body}");
        }
        assert!(forms(&[0xff]).is_empty());
        let long = |bytes: usize| format!("[\"{}\"  ]", "x".repeat(bytes - 6));
        assert!(!forms(long(MAX_BYTES).as_bytes()).is_empty());
        assert!(forms(long(MAX_BYTES + 1).as_bytes()).is_empty());
        let deep = |depth: usize| format!("{}{} ", "[".repeat(depth), "]".repeat(depth));
        assert!(!forms(deep(20).as_bytes()).is_empty());
        assert!(forms(deep(100_000).as_bytes()).is_empty());
    }

    /// Indented, each of its lines begins with hundreds of blanks.
    #[test]
    fn no_form_is_much_longer_than_the_body() {
        let deep = format!("{}{}{}", "[".repeat(120), "1,".repeat(20_000) + "1", "]".repeat(120));
        let longest = forms(deep.as_bytes()).into_iter().map(|(_, form)| form.len()).max();
        assert!(longest.is_some_and(|longest| longest <= 8 * deep.len()), "{longest:?} of {}", deep.len());
        // What would be longer is not written to its end.
        let (wide, mut to) =
            (Form { layout: Layout::Indented("    "), sorted: false, escapes: Escapes::Few }, String::new());
        wide.write(&parse(deep.as_bytes()).unwrap(), 0, deep.len(), &mut to);
        assert!((deep.len()..deep.len() + 100_000).contains(&to.len()), "{}", to.len());
        // What is short may grow: a reasonable document in a form that is wide.
        assert!(has("[[[[[[[[1]]]]]]]]", "[\n    [\n        [\n            [\n                [\n                    [\n                        [\n                            [\n                                1\n                            ]\n                        ]\n                    ]\n                ]\n            ]\n        ]\n    ]\n]").is_some());
    }

    #[test]
    fn no_form_is_tried_twice_and_there_are_few() {
        let forms = forms(r#"{"b":["é/<"],"a":{"c":1}}"#.as_bytes());
        let distinct: std::collections::BTreeSet<_> = forms.iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(distinct.len(), forms.len());
        assert!(forms.len() <= 26, "{}", forms.len());
    }
}
