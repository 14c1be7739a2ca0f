//! Drives the stand-in over plain sockets, the way no HTTP library would.

mod behaviours;
mod client;
mod lifecycle;
mod records;
mod service;
