//! What inflates clients' messages: one for all connections of a thread, because between
//! two messages nothing of it is needed (no context takeover, RFC 7692 section 7.1.1.2).

use std::cell::RefCell;

use redcast_hub::Encoding;
use redcast_wire::Inflater;

thread_local! {
    static INFLATER: RefCell<Inflater> = const { RefCell::new(Inflater::new()) };
}

/// Does `work` with the thread's inflater, or without one for a connection that agreed on
/// no compression. It takes memory only once something is inflated.
pub(crate) fn with_inflater<R>(
    encoding: Encoding,
    work: impl FnOnce(Option<&mut Inflater>) -> R,
) -> R {
    match encoding.window {
        None => work(None),
        Some(_) => INFLATER.with_borrow_mut(|inflater| work(Some(inflater))),
    }
}
