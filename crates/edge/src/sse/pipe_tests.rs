use std::task::Waker;

use super::*;

fn pipe() -> (Arc<Pipe>, PipeSocket) {
    let pipe = Pipe::new(&HubConfig::default());
    (pipe.clone(), PipeSocket::new(pipe))
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn taken(pipe: &Pipe) -> Option<BytesMut> {
    match pipe.poll_take(&mut context()) {
        Poll::Ready(taken) => taken,
        Poll::Pending => Some(BytesMut::new()),
    }
}

fn is_writable(socket: &PipeSocket) -> bool {
    socket.poll_write_ready(&mut context()).is_ready()
}

#[test]
fn takes_up_to_its_size_and_again_when_it_was_drained() {
    let (pipe, socket) = pipe();
    let piece = vec![7; PIPE_BYTES - 10];
    assert_eq!(socket.try_write(&piece).unwrap(), piece.len());
    let slices = [IoSlice::new(&[1; 6]), IoSlice::new(&[2; 6])];
    assert_eq!(socket.try_write_vectored(&slices).unwrap(), 10);
    assert_eq!(socket.try_write(&[3]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!is_writable(&socket));
    let bytes = taken(&pipe).unwrap();
    assert_eq!(bytes.len(), PIPE_BYTES);
    assert_eq!(bytes[PIPE_BYTES - 10..], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert!(is_writable(&socket));
    assert_eq!(socket.try_write(&[3]).unwrap(), 1);
}

#[test]
fn what_lies_here_at_the_end_is_read_before_it() {
    let (pipe, socket) = pipe();
    socket.try_write(b"last").unwrap();
    drop(socket);
    assert!(pipe.has_ended());
    assert_eq!(taken(&pipe).unwrap(), &b"last"[..]);
    assert_eq!(taken(&pipe), None);
}

#[test]
fn a_cut_pipe_ends_at_once() {
    let (pipe, socket) = pipe();
    socket.try_write(b"late").unwrap();
    pipe.cut();
    assert_eq!(taken(&pipe), None);
    assert_eq!(socket.try_write(b"later").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn without_a_reader_a_write_fails_and_nobody_waits() {
    let (pipe, socket) = pipe();
    while socket.try_write(&[0; 1 << 10]).is_ok() {}
    assert!(!is_writable(&socket));
    pipe.reader_gone();
    assert!(is_writable(&socket));
    assert_eq!(socket.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn pings_and_their_patience_together_are_the_idle_time_out() {
    let seconds = Duration::from_secs;
    for (ping_every, idle_timeout, patience) in [(30, 60, 30), (10, 60, 50), (60, 60, 30)] {
        let config = HubConfig {
            ping_every: seconds(ping_every),
            idle_timeout: seconds(idle_timeout),
            ..HubConfig::default()
        };
        assert_eq!(Pipe::new(&config).patience(), seconds(patience));
    }
}
