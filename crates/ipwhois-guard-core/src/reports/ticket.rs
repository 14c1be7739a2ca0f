//! What the one who reports can wait for.

use tokio::sync::watch;

use super::queue::Fate;
use crate::error::ReportError;

/// How far a report has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    /// On disk, or as safe as it gets without one.
    Stored,
    Settled(Fate),
}

/// A report that was taken. Dropping the ticket changes nothing.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Ticket {
    stage: watch::Receiver<Stage>,
    is_duplicate: bool,
}

impl Ticket {
    pub(super) const fn new(stage: watch::Receiver<Stage>) -> Self {
        Self {
            stage,
            is_duplicate: false,
        }
    }

    /// The ticket of one that repeats another, and shares its fate.
    pub(super) const fn of_original(stage: watch::Receiver<Stage>) -> Self {
        Self {
            stage,
            is_duplicate: true,
        }
    }

    /// The ticket of one that repeats another which is done with.
    pub(super) fn settled(fate: Fate) -> Self {
        Self::of_original(watch::channel(Stage::Settled(fate)).1)
    }

    /// Whether the same address was reported for the same thing less than 15 minutes ago, so that
    /// this report is not sent.
    pub(crate) const fn is_duplicate(&self) -> bool {
        self.is_duplicate
    }

    /// Resolves when the report survives the end of the process, or is done with. Without a state
    /// folder nothing survives, and this resolves as soon as the report is ready to be sent.
    ///
    /// # Errors
    /// When the guard ended first.
    pub(crate) async fn stored(&self) -> Result<(), ReportError> {
        self.reached(|stage| *stage != Stage::Queued).await?;
        Ok(())
    }

    /// Resolves when the service has accepted the report.
    ///
    /// # Errors
    /// When the service refused it for good, when it was given up after 24 h, or when the guard
    /// ended first.
    pub(crate) async fn delivered(&self) -> Result<(), ReportError> {
        let stage = self
            .reached(|stage| matches!(stage, Stage::Settled(_)))
            .await?;
        match stage {
            Stage::Settled(Fate::Refused { status }) => Err(ReportError::Refused { status }),
            Stage::Settled(Fate::GivenUp) => Err(ReportError::GivenUp),
            _ => Ok(()),
        }
    }

    async fn reached(&self, is_enough: fn(&Stage) -> bool) -> Result<Stage, ReportError> {
        let mut stage = self.stage.clone();
        match stage.wait_for(is_enough).await {
            Ok(stage) => Ok(*stage),
            Err(_) => Err(ReportError::ShuttingDown),
        }
    }
}
