//! A forward-auth hook that answers as the test says, over a bare socket, so that it
//! can also be slow, rude or wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redcast_e2e::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the gateway asked.
#[derive(Clone, Debug)]
pub(crate) struct Question(String);

/// What the hook does about it.
pub(crate) enum Reply {
    /// Writes this and waits for the next question.
    Say(String),
    /// Writes this and closes.
    SayAndClose(String),
    /// Says nothing until the gateway gives up.
    Nothing,
}

type Script = dyn Fn(&Question) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    questions: Mutex<Vec<Question>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A running hook; it ends when dropped.
pub(crate) struct Hook {
    pub(crate) address: String,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

impl Question {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} comes once: {self:?}");
        value
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The names of all headers, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut names: Vec<&str> = lines.map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    /// What stood behind `?` in the handshake's path.
    pub(crate) fn query(&self) -> &str {
        let uri = self.header("x-forwarded-uri").unwrap();
        uri.split_once('?').map_or("", |(_, query)| query)
    }
}

impl Reply {
    /// A whole answer; `status` is code and phrase.
    pub(crate) fn new(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        Self::Say(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\n\r\n{body}"))
    }

    /// Admits, with this to say about it.
    pub(crate) fn admit(body: &str) -> Self {
        Self::new("200 OK", &[("Content-Type", "application/json")], body)
    }
}

impl Hook {
    /// Starts on a free port.
    pub(crate) async fn start(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", script).await
    }

    /// Starts on an address.
    pub(crate) async fn at(
        address: &str,
        script: impl Fn(&Question) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, seen.clone(), Arc::new(script)));
        Self { address, seen, tasks }
    }

    /// Ends; its address is free then.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// What was asked so far.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.seen.questions.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    pub(crate) fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// The most connections that were open at a time.
    pub(crate) fn most_open(&self) -> usize {
        self.seen.most_open.load(Ordering::SeqCst)
    }

    /// Waits until this many questions were asked.
    pub(crate) async fn until_asked(&self, count: usize) {
        within(PATIENCE, &format!("{count} questions"), async || self.questions().len() >= count)
            .await;
    }

    /// Waits until this many connections are open.
    pub(crate) async fn until_open(&self, count: usize) {
        let open = || self.seen.open.load(Ordering::SeqCst);
        within(PATIENCE, &format!("{count} connections"), async || open() == count).await;
    }
}

async fn serve(listener: TcpListener, seen: Arc<Seen>, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_open.fetch_max(open, Ordering::SeqCst);
        let (seen, script) = (seen.clone(), script.clone());
        connections.spawn(async move {
            converse(stream, &seen, &*script).await;
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn converse(mut stream: TcpStream, seen: &Seen, script: &Script) {
    while let Some(question) = next_question(&mut stream).await {
        seen.questions.lock().unwrap().push(question.clone());
        let closes = match script(&question) {
            Reply::Say(text) => stream.write_all(text.as_bytes()).await.is_err(),
            Reply::SayAndClose(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                true
            }
            Reply::Nothing => stream.read(&mut [0; 1]).await.is_ok(),
        };
        if closes {
            return;
        }
    }
}

/// A question is a head alone: it has no body.
async fn next_question(stream: &mut TcpStream) -> Option<Question> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(Question(String::from_utf8(read).unwrap()))
}
