use ipwhois_guard_core::{BuildError, Guard, Settings};
use rocket::figment::Figment;
use rocket::figment::error::Error as FigmentError;

const TABLE: &str = "ipwhois_guard";

/// Why the guard cannot be had from Rocket's configuration. Never shows the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting cannot be read: unknown, or of the wrong type.
    #[error("Rocket's configuration: {0}")]
    Unreadable(String),
    /// A setting has a value that cannot be used.
    #[error("Rocket's configuration, `ipwhois_guard`: {0}")]
    Unusable(#[from] BuildError),
}

/// The guard's settings in Rocket's configuration: the table `ipwhois_guard` of the selected
/// profile. Without one, the defaults.
///
/// ```
/// use ipwhois_guard_rocket::{ConfigError, Guard, IpGuard, settings};
///
/// # fn rocket() -> Result<rocket::Rocket<rocket::Build>, ConfigError> {
/// let rocket = rocket::build();
/// let guard = Guard::from_settings(settings(rocket.figment())?)?;
/// Ok(rocket.attach(IpGuard::new(guard)))
/// # }
/// ```
///
/// # Errors
/// [`ConfigError::Unreadable`] when a name is unknown or a value has the wrong type. It names the
/// setting, the value, and the file or variable.
pub fn settings(figment: &Figment) -> Result<Settings, ConfigError> {
    match figment.find_value(TABLE) {
        // A malformed `{…}` in the environment arrives as one string, with the key inside: it is
        // not for figment to show.
        Ok(value) if value.as_dict().is_none() => Err(ConfigError::Unreadable(format!(
            "`{TABLE}` is no table: `[default.{TABLE}]` in Rocket.toml, `{{name=value, …}}` in the environment"
        ))),
        Err(error) if error.missing() => Ok(Settings::default()),
        // Focused, because figment names `table.setting` the wrong way round.
        _ => figment
            .focus(TABLE)
            .extract()
            .map_err(|error| ConfigError::Unreadable(told(error))),
    }
}

pub(crate) fn guard_from_config(figment: &Figment) -> Result<Guard, ConfigError> {
    Ok(Guard::from_settings(settings(figment)?)?)
}

/// All that is wrong, in one line. Figment's own words have settings from the environment in
/// capitals.
fn told(error: FigmentError) -> String {
    let errors = error.into_iter().map(|error| {
        let message = error.kind.to_string();
        let what = match &error.path[..] {
            [] => without_excerpt(&message),
            path => format!("setting `{}`: {message}", path.join(".")),
        };
        match error.metadata.map(|origin| (origin.name, origin.source)) {
            Some((name, Some(source))) => format!("{what} ({name} {source})"),
            Some((name, None)) => format!("{what} ({name})"),
            None => what,
        }
    });
    errors.collect::<Vec<String>>().join("; ")
}

/// A syntax error comes with the lines around it, behind a `|`. One of them may hold the key.
fn without_excerpt(message: &str) -> String {
    let lines = message.lines().filter(|line| !line.contains('|'));
    lines.collect::<Vec<&str>>().join(" ")
}
