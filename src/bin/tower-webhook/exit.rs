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
}

/// What each code stands for, in the order of their numbers.
const TABLE: [(Exit, &str); 7] = [
    (Exit::Done, "done: verified, or every answer is as it should be"),
    (Exit::Answered, "some request was answered otherwise"),
    (Exit::Usage, "the command line is mistaken"),
    (Exit::Refused, "verify: the request does not verify"),
    (Exit::Configuration, "there is no secret or API key, it is not accepted, or a setting is missing"),
    (Exit::Unreachable, "some request got no answer: no connection, or not in time"),
    (Exit::Input, "a file cannot be read or does not hold what it should, or output cannot be written"),
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
        }
    }
}

/// The table, for the end of the help.
pub(crate) fn help() -> String {
    let rows = TABLE.map(|(exit, meaning)| format!("  {}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", rows.join("\n"))
}

/// Why a command could not do its work. The message holds no secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { exit: Exit::Configuration, message: message.into() }
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { exit: Exit::Input, message: message.into() }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.exit.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_in_order() {
        assert!(TABLE.iter().enumerate().all(|(index, (exit, _))| usize::from(exit.code()) == index));
        assert!(help().contains("\n  3  verify: "));
    }
}
