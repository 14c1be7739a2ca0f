//! Settings as keyword arguments.

use ipwhois_guard_core::Settings;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyDict, PyFloat, PyInt, PyMapping, PyString};
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};

/// Reads keyword arguments over `settings`, and checks the result. `None` is a setting that is not
/// said.
pub(crate) fn read(
    mut settings: Settings,
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<Settings> {
    for (name, value) in given.into_iter().flatten() {
        let name: String = name.extract()?;
        if value.is_none() {
            continue;
        }
        let value = plain(&value).map_err(|error| {
            PyValueError::new_err(format!("setting `{name}`: {}", error.value(value.py())))
        })?;
        let one = Map::from_iter([(name.clone(), value)]);
        settings = settings
            .deserialize(Value::Object(one))
            .map_err(|error| refuse(&name, &error))?;
    }
    settings.check().map_err(invalid)?;
    Ok(settings)
}

/// An error of core as Python's. It names the setting.
pub(crate) fn invalid(error: impl std::error::Error) -> PyErr {
    PyValueError::new_err(sentence(&error))
}

/// An error and its causes.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn refuse(name: &str, error: &serde_json::Error) -> PyErr {
    // The settings' TOML knows names that are near, and those of earlier versions.
    let as_toml = format!("{name:?} = 0");
    let unknown = match Settings::from_toml(&as_toml) {
        Err(ipwhois_guard_core::BuildError::Text { reason, .. })
            if error
                .to_string()
                .starts_with(&format!("unknown field `{name}`")) =>
        {
            Some(reason)
        }
        _ => None,
    };
    PyValueError::new_err(unknown.unwrap_or_else(|| format!("setting `{name}`: {error}")))
}

/// A Python value as the settings read it: times are text there, and what names a file or an
/// address is written as such.
fn plain(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::String(text.to_cow()?.into_owned()))
    } else if value.is_instance_of::<PyBool>() {
        Ok(Value::Bool(value.extract()?))
    } else if value.is_instance_of::<PyInt>() {
        let number: i64 = value.extract()?;
        Ok(number.into())
    } else if value.is_instance_of::<PyFloat>() {
        let number: f64 = value.extract()?;
        Ok(number.into())
    } else if value.is_instance_of::<PyDelta>() {
        let time: std::time::Duration = value.extract()?;
        Ok(Value::String(format!("{}us", time.as_micros())))
    } else if let Ok(table) = value.cast::<PyMapping>() {
        let mut object = Map::new();
        for item in table.items()?.iter() {
            let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
            object.insert(name, plain(&value)?);
        }
        Ok(Value::Object(object))
    } else if is_named(value)? {
        Ok(Value::String(value.str()?.to_cow()?.into_owned()))
    } else if let Ok(items) = value.try_iter() {
        let items = items.map(|item| plain(&item?)).collect::<PyResult<_>>()?;
        Ok(Value::Array(items))
    } else {
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("no setting is a `{kind}`")))
    }
}

/// Whether it is a path, or an address or a network of `ipaddress`.
fn is_named(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("__fspath__")? || value.hasattr("compressed")?)
}
