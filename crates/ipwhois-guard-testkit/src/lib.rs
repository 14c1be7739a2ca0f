#![doc = include_str!("../README.md")]

mod answer;
mod behaviour;
mod blacklist;
mod call;
mod connection;
mod form;
mod record;
mod reply;
mod request;
mod server;
mod stand_in;
mod state;

pub use behaviour::{Behaviour, Endpoint};
pub use record::{Check, Report};
pub use stand_in::StandIn;
