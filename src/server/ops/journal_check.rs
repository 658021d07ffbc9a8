//! Shows operators the progress of the journal's background check, and whether it has found damage.

use tokio::sync::watch;

use super::context::ServerContext;
use crate::journal::CheckState;

/// Publishes the progress of a check until it has ended.
pub fn follow(mut check: watch::Receiver<CheckState>, context: ServerContext) {
    show(*check.borrow_and_update(), &context);
    tokio::spawn(async move {
        // If the check ends without a result, the journal is being closed.
        while check.changed().await.is_ok() {
            show(*check.borrow_and_update(), &context);
        }
    });
}

fn show(state: CheckState, context: &ServerContext) {
    let unchecked = &context.metrics.journal_unchecked;
    match state {
        CheckState::Running { checked, last } => {
            unchecked.set(last.0.saturating_sub(checked.0) as i64);
        }
        CheckState::Intact => {
            unchecked.set(0);
        }
        CheckState::Damaged => {
            context.metrics.journal_damaged.set(1);
            context.readiness.set_journal_damaged();
        }
    }
}
