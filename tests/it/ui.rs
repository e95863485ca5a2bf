//! Programs that must not compile, in `tests/ui`, and what the compiler says about them.
//!
//! The texts are pinned for one minor version of the compiler, which is where they come from. Record them anew
//! with `TRYBUILD=overwrite cargo test --test it ui`, and read every one: it has to name the user's mistake.

use std::process::Command;

use trybuild::TestCases;

/// The compiler whose messages are recorded.
const RECORDED: &str = "rustc 1.95.";

#[test]
fn mistakes_are_named_by_the_compiler() {
    fails_to_compile("tests/ui/*.rs");
}

#[test]
fn every_form_of_a_handler_compiles() {
    if let Some(cases) = cases() {
        cases.pass("tests/ui/pass/*.rs");
    }
}

/// Asserts that the programs fail, each with the message beside it.
pub(crate) fn fails_to_compile(pattern: &str) {
    if let Some(cases) = cases() {
        cases.compile_fail(pattern);
    }
}

#[allow(clippy::print_stderr, reason = "a test that does not run says so")]
fn cases() -> Option<TestCases> {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if version.starts_with(RECORDED) {
        return Some(TestCases::new());
    }
    eprintln!("!!! SKIPPED: tests/ui is recorded for `{RECORDED}x`, this is `{}`", version.trim());
    None
}
