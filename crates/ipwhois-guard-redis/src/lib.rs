#![doc = include_str!("../README.md")]

mod address;
mod connection;
mod guard;
mod keys;
mod link;
mod listen;
mod nodes;
mod paced;
mod scripts;
mod sentinel;
mod store;
mod trouble;
mod value;

pub use guard::{guard_from_env, guard_from_settings};
pub use store::{RedisStore, RedisStoreBuilder};
