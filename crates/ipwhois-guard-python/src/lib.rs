#![doc = include_str!("../README.md")]

mod context;
mod guard;
mod head;
mod log;
mod pending;
mod process;
mod settings;
mod verdict;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use super::{Bound, PyModule, PyResult, log};

    #[pymodule_export]
    use super::context::{Attempt, Client, Context};
    #[pymodule_export]
    use super::guard::Guard;
    #[pymodule_export]
    use super::head::Head;
    #[pymodule_export]
    use super::log::{after_fork, has_events, set_log_level, take_events};
    #[pymodule_export]
    use super::pending::{Pending, Signal};
    #[pymodule_export]
    use super::verdict::{Denial, Verdict};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        log::install();
        Ok(())
    }
}
