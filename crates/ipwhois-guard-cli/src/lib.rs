#![doc = include_str!("../README.md")]

pub mod access_log;
mod check;
mod command;
mod feed;
mod input;
mod outcome;
mod replay;
mod report;
mod table;
mod unpack;

pub use self::command::run;
