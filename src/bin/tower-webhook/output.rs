//! Text for people, JSON for programs; what the program says beside its result goes to standard error.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table};
use serde_json::{Value, json};

use crate::exit::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// JSON if `--json` says so, or if nobody looks: standard output is no terminal, and no `--text` is there. Read off
    /// the bare arguments, since a mistake in these is to be told in the same way.
    pub(crate) fn new(arguments: &[OsString]) -> Self {
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        Self { json: has("--json") || !has("--text") && !io::stdout().is_terminal() }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes a result in the one form or the other.
    pub(crate) fn result(
        self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.text(&value().to_string()) } else { self.text(&text()) }
    }

    /// Writes lines to standard output. Whoever closed it has read enough: that is no failure.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        match write!(stdout, "{text}{end}").and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::input(format!("standard output: {error}"))),
        }
    }

    /// Says something that is not the result.
    pub(crate) fn warning(self, message: &str) {
        if self.json {
            say(&json!({ "warning": { "message": message } }).to_string());
        } else {
            say(&format!("warning: {}", visible(message)));
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        let (kind, message) = (failure.kind(), &failure.message);
        if self.json {
            let mut error = json!({ "kind": kind, "message": message });
            if !failure.endpoints().is_empty() {
                error["endpoints"] = failure.endpoints().into();
            }
            say(&json!({ "error": error }).to_string());
        } else {
            let lines: Vec<_> = message.lines().map(visible).collect();
            say(&format!("error: {}", lines.join("\n")));
        }
    }
}

/// Nobody is left to hear of an error of this.
fn say(line: &str) {
    _ = writeln!(io::stderr().lock(), "{line}");
}

/// A table as wide as the terminal, or wider: the first columns, so many of them, are not broken into lines, so that
/// what they hold can be copied.
pub(crate) fn table_of_whole(
    columns: usize,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = made(header, rows);
    for column in table.column_iter_mut().take(columns) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.to_string()
}

/// A table as wide as the terminal. What does not come from this program has to be made [`visible`] before.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    made(header, rows).to_string()
}

fn made(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    let style = UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    // A terminal that does not know its size, as under some schedulers, says that it has none.
    if table.width() == Some(0) {
        table.set_width(80);
    }
    table
}

/// Text of strangers for a terminal: what would move the cursor, colour the screen or turn the reading direction is
/// written as an escape.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if steers { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(visible("é \u{1b}[31mred\r\n\u{9b}0m"), "é \\u{1b}[31mred\\u{d}\\u{a}\\u{9b}0m");
        assert_eq!(visible("\u{202e}evt\u{200b}\u{feff}"), "\\u{202e}evt\\u{200b}\\u{feff}");
        assert_eq!(visible("plain, für alle"), "plain, für alle");
    }
}
