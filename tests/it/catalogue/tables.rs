//! The tables of presets in the documentation are generated, and these tests fail while they are not what the presets
//! are. `TOWER_WEBHOOK_BLESS=1 cargo test --all-features --test it catalogue::tables` writes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use tower_webhook::Provider;

use super::presets;

const HEADINGS: [&str; 9] = [
    "preset",
    "signature",
    "algorithm",
    "signed",
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

fn row(name: &str, provider: &Provider) -> [String; 9] {
    let description = provider.describe();
    let seconds = |duration: Option<std::time::Duration>| {
        duration.map_or(String::new(), |duration| format!("{} s", duration.as_secs()))
    };
    let signed = match description.signed() {
        "" => "nothing".to_owned(),
        signed => code(signed),
    };
    // Both need no more than their name here: the table has a row for each of them.
    let identity = description.identity().replace("digest of what is signed", "digest");
    [
        code(name),
        code(&format!("{}: {}", provider.signature_header(), description.header_value())),
        description.algorithm().to_owned(),
        signed,
        description.not_signed().collect::<Vec<_>>().join(", "),
        identity,
        seconds(description.tolerance()),
        seconds(description.answer_deadline()),
        description.documentation().map_or(String::new(), |url| format!("[page]({url})")),
    ]
}

fn table() -> String {
    let mut table = String::new();
    let mut line = |cells: &[String]| writeln!(table, "| {} |", cells.join(" | ")).unwrap();
    line(&HEADINGS.map(str::to_owned));
    line(&HEADINGS.map(|_| "---".to_owned()));
    for (name, provider) in presets() {
        line(&row(name, &provider));
    }
    // An empty cell needs no blanks.
    table.replace("|  |", "| |").replace("|  |", "| |")
}

/// Compares what stands between the marks in a file with the table, or writes it.
fn check(path: &str) {
    const BEGIN: &str = "<!-- catalogue -->\n";
    const END: &str = "<!-- /catalogue -->\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let expected = format!("\n{}\n", table());
    if std::env::var_os("TOWER_WEBHOOK_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        let stale: Vec<_> = found.lines().filter(|line| !expected.contains(line)).collect();
        assert!(found == expected, "{}: the table is stale, such as {:#?}", path.display(), stale.first());
    }
}

#[test]
fn the_chapter_has_the_presets_as_they_are() {
    check("src/docs/catalogue.md");
}

#[test]
fn the_readme_has_the_presets_as_they_are() {
    check("README.md");
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
