//! A subscriber that keeps every span and every line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// What this thread logs while it lives.
pub(super) struct Log {
    kept: Kept,
    _listening: DefaultGuard,
    /// With one dispatcher alone, a thread without one would decide for all of them what is heard.
    _second: Dispatch,
}

impl Log {
    pub(super) fn listen() -> Self {
        let kept = Kept::default();
        let listening = tracing::subscriber::set_default(kept.clone());
        Self { kept, _listening: listening, _second: Dispatch::new(NoSubscriber::new()) }
    }

    /// The spans of deliveries, in the order of their beginnings.
    pub(super) fn deliveries(&self) -> Vec<Span> {
        let kept = self.kept.lock();
        kept.spans.iter().filter(|span| span.name == "webhook_delivery").cloned().collect()
    }

    /// The lines of a level within the spans of deliveries.
    pub(super) fn at(&self, level: Level) -> Vec<Line> {
        self.lines(|line| line.level == level && line.span.is_some())
    }

    /// The lines that came outside of any span.
    pub(super) fn outside(&self) -> Vec<Line> {
        self.lines(|line| line.span.is_none())
    }

    fn lines(&self, wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
        self.kept.lock().lines.iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// Forgets the lines, to look at those that come next.
    pub(super) fn clear(&self) {
        self.kept.lock().lines.clear();
    }
}

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) fields: Fields,
    /// Whether all handles are gone.
    pub(super) closed: bool,
    handles: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) fields: Fields,
    /// The fields that the span around had when the line came; `None` outside of a span.
    pub(super) span: Option<Fields>,
}

impl Line {
    pub(super) fn message(&self) -> &str {
        self.fields.get("message")
    }
}

/// Fields and their values as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    /// The value of a field; empty where it has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    spans: Vec<Span>,
    lines: Vec<Line>,
    /// The spans entered now, innermost last.
    entered: Vec<usize>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap()
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let metadata = span.metadata();
        let mut kept = self.lock();
        kept.spans.push(Span {
            name: metadata.name(),
            level: *metadata.level(),
            fields,
            closed: false,
            handles: 1,
        });
        Id::from_u64(kept.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut self.lock().spans[index(span)].fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut kept = self.lock();
        let span = kept.entered.last().map(|span| kept.spans[*span].fields.clone());
        kept.lines.push(Line { level: *event.metadata().level(), fields, span });
    }

    fn enter(&self, span: &Id) {
        self.lock().entered.push(index(span));
    }

    fn exit(&self, span: &Id) {
        let mut kept = self.lock();
        let last = kept.entered.iter().rposition(|entered| *entered == index(span)).unwrap();
        kept.entered.remove(last);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.lock().spans[index(id)].handles += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let span = &mut self.lock().spans[index(&id)];
        span.handles -= 1;
        span.closed = span.handles == 0;
        span.closed
    }
}
