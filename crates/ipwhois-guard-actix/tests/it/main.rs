//! What is particular to actix-web. What every framework must do is in the conformance suite.

mod bench;
mod connections;
mod extractors;
mod places;
mod refusals;
mod rewriting;
