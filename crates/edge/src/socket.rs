//! A client's TCP socket, with the permit that counts it.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use redcast_hub::Socket;
use redcast_node::ConnectionPermit;
use socket2::SockRef;
use tokio::net::TcpStream;

/// A socket that can say when it takes more.
pub(crate) trait WritableSocket: Socket {
    /// Ready when a write would be taken, or would tell that the socket is dead.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The socket of one WebSocket connection. Count and descriptor fall together,
/// because they live in one struct.
pub(crate) struct ClientSocket {
    pub(crate) stream: TcpStream,
    _permit: ConnectionPermit,
    #[cfg(feature = "faults")]
    pub(crate) fault: crate::faults::Armed,
}

impl ClientSocket {
    pub(crate) fn new(stream: TcpStream, permit: ConnectionPermit) -> Self {
        Self {
            stream,
            _permit: permit,
            #[cfg(feature = "faults")]
            fault: crate::faults::Armed::default(),
        }
    }

    /// Says that nothing more will be written. Closing with unread input would
    /// send RST, which can eat the close frame before the client has read it.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(&self.stream).shutdown(Shutdown::Write)
    }
}

impl WritableSocket for ClientSocket {
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }
}

/// The kernel is asked directly: the runtime's own record of whether a socket is
/// writable lies in memory that nothing else touches during a fan-out, and fetching it
/// would cost each delivery a cache miss. Only where the kernel takes nothing is the
/// runtime asked too, so that it notes that and can tell when there is room.
impl Socket for ClientSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "faults")]
        self.fault.strike();
        match SockRef::from(&self.stream).send(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.try_write(bytes),
            taken => taken,
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "faults")]
        self.fault.strike();
        match SockRef::from(&self.stream).send_vectored(slices) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.stream.try_write_vectored(slices)
            }
            taken => taken,
        }
    }
}
