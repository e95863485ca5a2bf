//! The tables of presets in the documentation are generated, and these tests fail while they are not what the presets
//! are. `TOWER_WEBHOOK_BLESS=1 cargo test --all-features --test it catalogue::tables` writes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use tower_webhook::{Envelope, Provider, SignatureScheme, diddo};

use super::presets;

const CHAPTER: &[&str] = &[
    "preset",
    "signature",
    "algorithm",
    "signed",
    "**not** signed",
    "event identity",
    "tolerance",
    "answer within",
    "handshake",
    "documented",
];

/// What the crate does for a provider, and less of how.
const README: &[&str] = &[
    "preset",
    "receive",
    "typed events",
    "endpoints",
    "handshake",
    "algorithm",
    "**not** signed",
    "event identity",
    "tolerance",
    "answer within",
    "documented",
];

/// Text in a cell that may hold anything.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', r"\|"))
}

fn cell(heading: &str, name: &str, provider: &Provider) -> String {
    let description = provider.describe();
    let seconds = |duration: Option<std::time::Duration>| {
        duration.map_or(String::new(), |duration| format!("{} s", duration.as_secs()))
    };
    match (heading, name) {
        ("preset", _) => code(name),
        ("receive", "diddo") => "with your scheme and envelope".to_owned(),
        ("receive", _) => "yes".to_owned(),
        ("typed events", "casapay" | "caspay") => "yes".to_owned(),
        ("endpoints", "casapay") => "manage, fetch".to_owned(),
        ("endpoints", "caspay") => "create".to_owned(),
        ("endpoints", "diddo") => "manage".to_owned(),
        ("typed events" | "endpoints", _) => String::new(),
        ("algorithm" | "**not** signed" | "event identity" | "tolerance", "diddo") => "yours".to_owned(),
        ("signature", _) => code(&format!("{}: {}", provider.signature_header(), description.header_value())),
        ("algorithm", _) => description.algorithm().to_owned(),
        ("signed", _) if description.signed().is_empty() => "nothing".to_owned(),
        ("signed", _) => code(description.signed()),
        ("**not** signed", _) => description.not_signed().collect::<Vec<_>>().join(", "),
        // It needs no more than its name here: the table has a row for each of them.
        ("event identity", _) => description.identity().replace("digest of what is signed", "digest"),
        ("tolerance", _) => seconds(description.tolerance()),
        ("answer within", _) => seconds(description.answer_deadline()),
        ("handshake", _) => description.handshakes().collect::<Vec<_>>().join(", "),
        ("documented", _) => {
            description.documentation().map_or(String::new(), |url| format!("[page]({url})"))
        }
        _ => panic!("{heading} is no column"),
    }
}

fn table(headings: &[&str], providers: impl IntoIterator<Item = (&'static str, Provider)>) -> String {
    let mut table = String::new();
    let mut line = |cells: Vec<String>| writeln!(table, "| {} |", cells.join(" | ")).unwrap();
    line(headings.iter().map(|&heading| heading.to_owned()).collect());
    line(headings.iter().map(|_| "---".to_owned()).collect());
    for (name, provider) in providers {
        line(headings.iter().map(|heading| cell(heading, name, &provider)).collect());
    }
    // An empty cell needs no blanks.
    table.replace("|  |", "| |").replace("|  |", "| |")
}

/// The presets, and among them Diddo, which is none: its signature and its envelope are the user's to say.
fn presets_and_diddo() -> Vec<(&'static str, Provider)> {
    let diddo = diddo::provider(SignatureScheme::hmac_sha256("x-invented"), Envelope::json("/id")).unwrap();
    let mut all: Vec<_> = presets().chain([("diddo", diddo)]).collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

/// Compares what stands between the marks in a file with the table, or writes it.
fn check(path: &str, table: &str) {
    const BEGIN: &str = "<!-- catalogue -->\n";
    const END: &str = "<!-- /catalogue -->\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let expected = format!("\n{}\n", table);
    if std::env::var_os("TOWER_WEBHOOK_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        let stale: Vec<_> = found.lines().filter(|line| !expected.contains(line)).collect();
        assert!(found == expected, "{}: the table is stale, such as {:#?}", path.display(), stale.first());
    }
}

#[test]
fn the_chapter_has_the_presets_as_they_are() {
    check("src/docs/catalogue.md", &table(CHAPTER, presets()));
}

#[test]
fn the_readme_has_the_presets_as_they_are() {
    check("README.md", &table(README, presets_and_diddo()));
}

#[test]
fn every_preset_names_its_documentation() {
    // Neither of these two has a page whose address is known.
    let without = presets().filter(|(_, provider)| provider.documentation().is_none());
    assert!(without.map(|(name, _)| name).eq(["casapay", "caspay"]));
    for (name, provider) in presets() {
        let secure = provider.documentation().is_none_or(|url| url.starts_with("https://"));
        assert!(secure, "{name}");
    }
}
