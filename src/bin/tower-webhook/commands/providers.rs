//! `providers`: the presets, in words.

use std::time::Duration;

use serde_json::{Value, json};
use tower_webhook::provider::{Preset, catalogue};

use crate::args::Providers;
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

pub(crate) fn run(args: &Providers, output: &Output) -> Result<Exit, Failure> {
    match &args.name {
        Some(preset) => output.result(|| one(preset), || described(preset))?,
        None => output.result(|| catalogue().iter().map(one).collect(), all)?,
    }
    Ok(Exit::Done)
}

fn all() -> String {
    // What fits on 80 columns; the rest is told of one alone.
    let rows = catalogue().iter().map(|preset| {
        let description = preset.provider().describe();
        let header = description.headers().next().map(ToString::to_string).unwrap_or_default();
        let tolerance = description.tolerance().map(|tolerance| format!("{} s", tolerance.as_secs()));
        vec![
            preset.name().to_owned(),
            header,
            description.algorithm().to_owned(),
            tolerance.unwrap_or_else(|| "not signed".to_owned()),
        ]
    });
    table(&["preset", "signature header", "algorithm", "time"], rows)
}

fn described(preset: &Preset) -> String {
    let provider = preset.provider();
    let types: Vec<_> = provider.event_types().collect();
    let mut text = format!("{}\n{}", preset.name(), provider.describe());
    text.push_str(&format!("  {:14} {}\n", "secret from", preset.variable("WEBHOOK_SECRET")));
    if !types.is_empty() {
        text.push_str(&format!("  {:14} {}\n", "known types", types.join(", ")));
    }
    text
}

fn one(preset: &Preset) -> Value {
    let provider = preset.provider();
    let description = provider.describe();
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
    json!({
        "name": preset.name(),
        "headers": description.headers().map(ToString::to_string).collect::<Vec<_>>(),
        "header_value": description.header_value(),
        "algorithm": description.algorithm(),
        "key": description.key(),
        "signed": description.signed(),
        "not_signed": description.not_signed().collect::<Vec<_>>(),
        "tolerance_seconds": seconds(description.tolerance()),
        "event_identity": description.identity(),
        "event_type": description.event_type(),
        "event_types": provider.event_types().collect::<Vec<_>>(),
        "answer_deadline_seconds": seconds(description.answer_deadline()),
        "documentation": description.documentation(),
        "secret_variable": preset.variable("WEBHOOK_SECRET"),
    })
}
