//! The chapter on guarantees names, for each promise, the tests that show it. They exist.

use std::process::Command;

const GUARANTEES: &str = include_str!("../../src/docs/guarantees.md");

/// Words in backticks that are paths of tests, such as `stores::redis::conforms`.
fn named(text: &str) -> Vec<&str> {
    let section = text.split("## What shows it").nth(1).expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let quoted = section.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.contains("::") && !word.contains("crate::")).collect()
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let listing = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    let tests: Vec<&str> = listing.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let named = named(GUARANTEES);
    assert!(named.len() >= 30, "only {} are named", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
