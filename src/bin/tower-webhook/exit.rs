//! How the program ends: one table, for the help and for whoever calls it from a script.

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Answered,
    Usage,
    Refused,
    Configuration,
    Unreachable,
    Input,
    Unreadable,
    Interrupted,
}

/// What each code stands for, in the order of their numbers.
const TABLE: [(Exit, &str); 9] = [
    (Exit::Done, "done: verified, or every answer is as it should be"),
    (Exit::Answered, "some request was answered otherwise"),
    (Exit::Usage, "the command line is mistaken"),
    (Exit::Refused, "verify: the request does not verify"),
    (Exit::Configuration, "there is no secret or API key, it is not accepted, or a setting is missing"),
    (Exit::Unreachable, "some request got no answer: no connection, or not in time"),
    (Exit::Input, "a file cannot be read or does not hold what it should, or output cannot be written"),
    (
        Exit::Unreadable,
        "verify: the request verifies, but no event can be read from it, which a receiver answers 500",
    ),
    (Exit::Interrupted, "ended by Ctrl-C, SIGTERM or SIGHUP"),
];

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Answered => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Configuration => 4,
            Self::Unreachable => 5,
            Self::Input => 6,
            Self::Unreadable => 7,
            // As shells have it for programs that Ctrl-C killed. One code for all signals: which it was, its sender knows.
            Self::Interrupted => 130,
        }
    }

    /// In one word, for programs.
    fn kind(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Answered => "answered",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Configuration => "configuration",
            Self::Unreachable => "unreachable",
            Self::Input => "input",
            Self::Unreadable => "unreadable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The table, for the end of the help.
pub(crate) fn help() -> String {
    let rows = TABLE.map(|(exit, meaning)| format!("  {:<3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", rows.join("\n"))
}

/// Why a command could not do its work. The message holds no secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// In one word, where that says more than the exit code.
    kind: Option<&'static str>,
    /// The endpoints that it is about.
    endpoints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), kind: None, endpoints: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, message)
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::Input, message)
    }

    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, message)
    }

    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    pub(crate) fn of_kind(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    pub(crate) fn with_endpoints(self, endpoints: Vec<String>) -> Self {
        Self { endpoints, ..self }
    }

    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind.unwrap_or(self.exit.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_in_order() {
        let codes = TABLE.map(|(exit, _)| exit.code());
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 130]);
        assert!(help().contains("\n  3    verify: "));
    }
}
