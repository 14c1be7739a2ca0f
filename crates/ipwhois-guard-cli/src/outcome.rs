//! How a command ends: what goes to standard output with an exit code, or a sentence that says why
//! nothing does.

use std::error::Error;
use std::fmt;

/// The code of everything that is not an answer: wrong usage, unreadable input, an address that
/// could not be verified.
pub(crate) const UNUSABLE: u8 = 2;

/// A command's answer.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// For standard output, with its line ends.
    pub(crate) text: String,
    /// What the process exits with; each command documents its own.
    pub(crate) code: u8,
}

/// Why a command has no answer: one sentence, which names the option or the file and its value.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// A sentence, and after colons what lies beneath.
    pub(crate) fn caused(sentence: impl fmt::Display, cause: &dyn Error) -> Self {
        Self(format!("{sentence}: {}", chain(cause)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error and its sources, separated by colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// JSON for standard output.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Failure::caused(
            "the figures cannot be written as JSON",
            &error,
        )),
    }
}
