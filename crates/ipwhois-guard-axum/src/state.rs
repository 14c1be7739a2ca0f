use axum::extract::FromRef;
use ipwhois_guard_tower::Guard;

/// How the extractors find the guard: in the router's state, or only through the layer.
///
/// The states `()` and [`Guard`] work as they are. A state of your own holds one:
///
/// ```
/// use axum::extract::FromRef;
/// use ipwhois_guard_axum::{Guard, GuardState};
///
/// #[derive(Clone, FromRef)]
/// struct AppState {
///     guard: GuardState,
/// }
///
/// # fn main() -> Result<(), ipwhois_guard_axum::BuildError> {
/// let guard = Guard::builder().build()?;
/// let state = AppState { guard: guard.into() };
/// # drop(state);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct GuardState(Option<Guard>);

impl GuardState {
    /// No guard in the state: the extractors work on routes that the layer covers.
    #[must_use]
    pub const fn from_layer() -> Self {
        Self(None)
    }

    pub(crate) fn into_guard(self) -> Option<Guard> {
        self.0
    }
}

impl From<Guard> for GuardState {
    fn from(guard: Guard) -> Self {
        Self(Some(guard))
    }
}

impl FromRef<()> for GuardState {
    fn from_ref((): &()) -> Self {
        Self::from_layer()
    }
}

impl FromRef<Guard> for GuardState {
    fn from_ref(guard: &Guard) -> Self {
        guard.clone().into()
    }
}
