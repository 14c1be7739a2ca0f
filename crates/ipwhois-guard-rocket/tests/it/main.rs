//! What is particular to Rocket. What all adapters have in common is in the conformance suite.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod bench;
mod catchers;
mod config;
mod detour;
mod erased_header;
mod exit;
mod request_guards;
