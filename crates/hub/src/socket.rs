//! All that the hub knows of a socket.

use std::io::{self, IoSlice};

/// The writing half of a connection's socket.
///
/// Neither method ever waits: a full socket answers [`io::ErrorKind::WouldBlock`],
/// which the runtime may also answer without a system call.
pub trait Socket: Send + Sync + 'static {
    /// Writes as much of `bytes` as fits now.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as much of `slices`, in order, as fits now.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}
