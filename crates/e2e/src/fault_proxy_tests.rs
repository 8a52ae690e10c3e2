//! Each fault does what its name says, to an echo server behind the proxy.

use super::*;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

struct Echo {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                clients.spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Self { address, serving }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn dial(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn read(socket: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    timeout(PATIENCE, socket.read_exact(&mut bytes)).await.expect("bytes arrive").unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn says_nothing(socket: &mut TcpStream) -> bool {
    timeout(SILENCE, socket.read_u8()).await.is_err()
}

async fn is_reset(socket: &mut TcpStream) -> bool {
    let ended = timeout(PATIENCE, socket.read_u8()).await.expect("it ends");
    ended.unwrap_err().kind() == io::ErrorKind::ConnectionReset
}

async fn echoes(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(read(socket, text.len()).await, text);
}

#[tokio::test]
async fn passes_and_counts() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    echoes(&mut socket, "hello").await;
    assert_eq!((proxy.accepted(), proxy.bytes(Way::ToServer)), (1, 5));
    assert_eq!(proxy.bytes(Way::ToClient), 5);
    socket.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, socket.read(&mut [0])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn what_is_stalled_arrives_later_in_full() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    for way in [Way::ToServer, Way::ToClient] {
        echoes(&mut socket, "before").await;
        proxy.set(way, Fault::Stall);
        socket.write_all(b"later").await.unwrap();
        assert!(says_nothing(&mut socket).await, "{way:?}");
        proxy.mend();
        assert_eq!(read(&mut socket, 5).await, "later");
    }
}

#[tokio::test]
async fn what_is_dropped_never_arrives_and_the_next_connection_is_well() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    for way in [Way::ToServer, Way::ToClient] {
        let mut socket = dial(&proxy).await;
        echoes(&mut socket, "before").await;
        proxy.set(way, Fault::Drop);
        socket.write_all(b"gone").await.unwrap();
        assert!(says_nothing(&mut socket).await, "{way:?}");
        proxy.mend();
        socket.write_all(b"forgotten").await.unwrap();
        assert!(says_nothing(&mut socket).await, "{way:?}: half a stream has arrived");
        echoes(&mut dial(&proxy).await, "after").await;
    }
}

#[tokio::test]
async fn what_is_delayed_arrives_late_and_in_order() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    let delay = Duration::from_millis(60);
    proxy.set(Way::ToClient, Fault::Delay(delay));
    let asked = Instant::now();
    echoes(&mut socket, "first").await;
    assert!(asked.elapsed() >= delay, "after {:?}", asked.elapsed());
    socket.write_all(b"a").await.unwrap();
    socket.write_all(b"b").await.unwrap();
    assert_eq!(read(&mut socket, 2).await, "ab");
}

#[tokio::test]
async fn cuts_in_the_middle() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    echoes(&mut socket, "whole").await;
    proxy.set(Way::ToClient, Fault::CutAfter(3));
    socket.write_all(b"halves").await.unwrap();
    assert_eq!(read(&mut socket, 3).await, "hal");
    assert!(is_reset(&mut socket).await);
    proxy.mend();
    echoes(&mut dial(&proxy).await, "after").await;
}

#[tokio::test]
async fn a_half_open_connection_hears_no_end() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    echoes(&mut socket, "before").await;
    proxy.set(Way::ToServer, Fault::HalfOpen);
    socket.shutdown().await.unwrap();
    // The echo server would end its side, if it knew.
    assert!(says_nothing(&mut socket).await);
    proxy.mend();
    assert!(is_reset(&mut socket).await);
}

#[tokio::test]
async fn cuts_once_those_who_are_there() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut socket = dial(&proxy).await;
    echoes(&mut socket, "whole").await;
    proxy.set(Way::ToClient, Fault::CutOnce(3));
    socket.write_all(b"halves").await.unwrap();
    assert_eq!(read(&mut socket, 3).await, "hal");
    assert!(is_reset(&mut socket).await);
    echoes(&mut dial(&proxy).await, "whole although it goes on").await;
}

#[tokio::test]
async fn who_writes_to_an_ended_side_does_not_hear_of_it() {
    let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = FaultProxy::before(echo.local_addr().unwrap()).await;
    let mut socket = dial(&proxy).await;
    let (mut server, _) = echo.accept().await.unwrap();
    socket.write_all(b"before").await.unwrap();
    assert_eq!(read(&mut server, 6).await, "before");
    proxy.set(Way::ToClient, Fault::HalfOpen);
    server.set_zero_linger().unwrap();
    drop(server);
    // The first write is refused by the other side's kernel, those behind it by ours.
    for _ in 0..5 {
        socket.write_all(b"anybody?").await.unwrap();
        assert!(says_nothing(&mut socket).await);
    }
    proxy.mend();
    assert!(is_reset(&mut socket).await);
}

#[tokio::test]
async fn refuses_is_silent_and_comes_back_on_the_same_port() {
    let echo = Echo::start().await;
    let proxy = FaultProxy::before(echo.address).await;
    let mut early = dial(&proxy).await;
    echoes(&mut early, "early").await;
    proxy.set_door(Door::Refuse);
    let refused = async {
        while TcpStream::connect(proxy.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("it refuses");
    echoes(&mut early, "still there").await;
    proxy.set_door(Door::Silent);
    let silent = async {
        loop {
            if let Ok(socket) = TcpStream::connect(proxy.address()).await {
                return socket;
            }
        }
    };
    let mut silent = timeout(PATIENCE, silent).await.expect("it listens again");
    silent.write_all(b"anybody?").await.unwrap();
    assert!(says_nothing(&mut silent).await);
    proxy.mend();
    echoes(&mut dial(&proxy).await, "after").await;
}

#[tokio::test]
async fn cut_resets_all_there_are_and_turn_to_leads_elsewhere() {
    let (first, second) = (Echo::start().await, Echo::start().await);
    let proxy = FaultProxy::before(first.address).await;
    let mut socket = dial(&proxy).await;
    echoes(&mut socket, "first").await;
    proxy.turn_to(second.address);
    proxy.cut();
    assert!(is_reset(&mut socket).await);
    drop(first);
    echoes(&mut dial(&proxy).await, "second").await;
}
