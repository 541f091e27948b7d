//! What ends the program early: one clear line and an exit code.

use std::error::Error;
use std::process::ExitCode;

/// Why the program cannot do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Something went wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The flags make no sense.
    pub(crate) fn bad_flags(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Something went wrong, with all its causes.
    pub(crate) fn because(doing: &str, error: &dyn Error) -> Self {
        Self::new(format!("{doing}: {}", chain(error)))
    }

    /// Tells it in one line.
    pub(crate) fn tell(&self) -> ExitCode {
        let line = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        crate::show::line(&format!("wordcount: {line}"));
        ExitCode::from(self.code)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(chain(&error))
    }
}

/// An error and its causes, leaving out what a message has said already.
fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_message = cause.to_string();
        if !message.contains(&cause_message) {
            message = format!("{message}: {cause_message}");
        }
        source = cause.source();
    }
    message
}
