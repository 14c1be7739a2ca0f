//! The command from outside: the real binary, files, and a stand-in for the service on a real
//! socket.

mod check;
mod feed;
mod made_up;
mod odd_logs;
mod recall;
mod replay;
mod report;
mod run;
mod several_logs;
