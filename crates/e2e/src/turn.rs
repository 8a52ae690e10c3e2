//! Whose turn it is: stories that measure time, memory or CPU run one at a time.
//!
//! Tests run in threads of one process, and on two cores a flood in one of them would
//! be read as slowness in another. Who floods or measures takes the turn first; all
//! other stories run beside it.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other story floods or measures; the turn ends with the guard.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
