//! Every preset of the catalogue against the requests that `tests/vectors/make.py` signs from its documentation.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use tower_webhook::provider::{catalogue, find};

use super::{Derived, compare_derived, verdict};

/// Presets whose vectors stand in a file of their own, with a test of their own.
const APART: [&str; 2] = ["casapay", "caspay"];

#[tokio::test]
async fn every_preset_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/presets");
    let files: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").unwrap().to_owned())
        .collect();
    let shipped: BTreeSet<_> =
        catalogue().iter().map(|preset| preset.name()).filter(|name| !APART.contains(name)).collect();
    let files: BTreeSet<_> = files.iter().map(String::as_str).collect();
    assert_eq!(files, shipped, "a file of vectors for each preset, and a preset for each file");

    let (mut cases, mut wrong) = (0, Vec::new());
    for name in shipped {
        let file = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let (verdicts, differ) = compare_derived(find(name).unwrap().provider(), &file).await;
        wrong.extend(differ.iter().map(|difference| format!("{name}: {difference}")));
        let (all, verified) = (verdicts.values().sum::<usize>(), verdicts.get("verified").copied());
        assert!(verified >= Some(3) && all >= 18, "{name}: {verdicts:?}");
        assert!(
            verdicts.contains_key("signature_mismatch") && verdicts.contains_key("missing_header"),
            "{name}"
        );
        cases += all;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases >= 4_000, "only {cases} ran");
}

#[derive(Deserialize)]
struct Published {
    preset: String,
    #[serde(flatten)]
    derived: Derived,
}

/// What specifications and documentation print as examples.
#[tokio::test]
async fn examples_that_are_published() {
    let published: Vec<Published> =
        serde_json::from_str(include_str!("../../vectors/published.json")).unwrap();
    let (mut ran, mut verified) = (BTreeSet::new(), 0);
    for Published { preset, derived } in published {
        let (case, expect) = derived.into_case();
        let found = verdict(find(&preset).unwrap().provider(), &case).await;
        assert_eq!(found, expect, "{preset}: {}", case.name);
        verified += usize::from(found == "verified");
        ran.insert(preset);
    }
    assert!(ran.contains("github") && ran.contains("standard-webhooks") && verified >= 4, "{ran:?}");
}
