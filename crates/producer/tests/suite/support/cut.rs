//! A way to Redis that loses an answer, or leads elsewhere, on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes bytes on in both directions; an answer that it was told to swallow ends its
/// connection instead.
pub struct Cutter {
    port: u16,
    state: Arc<State>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct State {
    redis: AtomicU16,
    armed: AtomicBool,
    has_cut: AtomicBool,
    /// Connections up to this number pass nothing on any more.
    silent: AtomicUsize,
    accepted: AtomicUsize,
}

impl Cutter {
    pub async fn start(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { redis: redis.into(), ..State::default() });
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let redis = state.redis.load(Ordering::SeqCst);
                ways.spawn(async move { pass(client, redis, &state).await });
            }
        });
        Self { port, state, _server: server }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// New connections lead to this Redis; those that are open stay where they are.
    pub fn lead_to(&self, redis: u16) {
        self.state.redis.store(redis, Ordering::SeqCst);
    }

    pub fn swallow_next_answer(&self) {
        self.state.armed.store(true, Ordering::SeqCst);
    }

    /// The connections of now stay open and pass nothing on any more; new ones do.
    pub fn silence(&self) {
        self.state.silent.store(self.state.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub fn has_cut(&self) -> bool {
        self.state.has_cut.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, redis: u16, state: &State) {
    let number = state.accepted.fetch_add(1, Ordering::SeqCst) + 1;
    let mut redis = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let is_silent = || number <= state.silent.load(Ordering::SeqCst);
        tokio::select! {
            read = client.read(&mut question) => match read {
                Ok(count) if count > 0 && is_silent() => {}
                Ok(count) if count > 0 => redis.write_all(&question[..count]).await.unwrap(),
                _ => return,
            },
            read = redis.read(&mut answer) => match read {
                Ok(count) if count > 0 => {
                    if state.armed.swap(false, Ordering::SeqCst) {
                        state.has_cut.store(true, Ordering::SeqCst);
                        return;
                    }
                    if client.write_all(&answer[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
