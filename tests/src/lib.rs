//! The conformance suite: one table of cases, run over real sockets against every framework's
//! adapter.
//!
//! - [`driver`]: what a framework must do to be tested, and the app that it serves;
//! - `drivers/`: one file a framework;
//! - [`client`]: a client that sends what it is told, byte for byte;
//! - [`prometheus`]: a strict reader of metrics;
//! - [`process`]: an example app as a process of its own, to be killed and started again;
//! - [`browser`]: a headless Chromium, driven by WebDriver;
//! - [`nginx`]: an nginx of the test's own, with its defaults, in front of some servers;
//! - [`redis`]: a Redis server of the test's own, to be killed, paused and filled;
//! - `cases/`: the table. A case is a function of a [`Bench`](bench::Bench); [`for_each_case`]
//!   names them all.
//!
//! A test carries the framework's name and the case's: `axum::denies_a_listed_client`.

pub mod bench;
pub mod browser;
#[expect(missing_docs, reason = "a case's name is the promise it checks")]
pub mod cases;
pub mod client;
pub mod driver;
pub mod drivers;
pub mod nginx;
pub mod process;
pub mod prometheus;
pub mod redis;

/// The repository's front page, compiled.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
