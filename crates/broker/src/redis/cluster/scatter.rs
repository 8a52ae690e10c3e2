//! Commands about many slots, each sent to whoever has its slot, all at once: one write for
//! each node, and the answers in the order of the commands.
//!
//! A node that does not answer costs its own commands an error and the others one deadline,
//! once: it is asked again only when a new connection to it has answered a PING.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, Value};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::map::{Node, SlotMap};
use super::routed::{Again, again};
use super::slot::slot_of;
use super::topology::Topology;

/// How long a connection may take until it has answered a PING.
const DIAL_WITHIN: Duration = Duration::from_millis(500);
/// The time between two attempts to connect to one node.
const DIAL_EVERY: Duration = Duration::from_millis(200);
/// How often a command is sent on to where it belongs; more of that is a circle.
const HOPS: usize = 3;

/// Connections to the nodes of a cluster.
pub(in super::super) struct Scatter {
    topology: Arc<Topology>,
    /// How long a node may take to answer.
    patience: Duration,
    lines: HashMap<Node, Line>,
    dials: JoinSet<RedisResult<MultiplexedConnection>>,
    /// To whom each of them leads.
    dialed: HashMap<task::Id, Node>,
}

/// The way to one node.
enum Line {
    /// It answers.
    Up(MultiplexedConnection),
    /// It is being connected to. Whoever needs it waits for that if it is new, and not if it
    /// did not answer before.
    Dialed { is_new: bool },
    /// It did not answer, and is not tried again before this moment.
    Down { until: Instant },
}

/// Which commands each node gets; with leave to be served ahead of their slots, or without.
type Shares = BTreeMap<(Node, bool), Vec<usize>>;

impl Scatter {
    /// Connects to nothing yet; a node may take `patience` to answer.
    pub(in super::super) fn new(topology: Arc<Topology>, patience: Duration) -> Self {
        let (lines, dials, dialed) = Default::default();
        Self { topology, patience, lines, dials, dialed }
    }

    /// Who has which slot, as it is known now. Another one is another `Arc`, if the former is
    /// kept.
    pub(in super::super) fn map(&self) -> Arc<SlotMap> {
        self.topology.map()
    }

    /// Sends each command to whoever has the slot of its key; one without a key goes to
    /// every primary, and the answer to it is all their texts.
    pub(in super::super) async fn ask(&mut self, commands: &[&Cmd]) -> Vec<RedisResult<Value>> {
        let mut answers = vec![BTreeMap::new(); commands.len()];
        let mut shares = self.shares(commands);
        for hop in 0..=HOPS {
            self.dial(&shares).await;
            let mut next = Shares::new();
            for (at, node, answer) in self.exchange(commands, shares).await {
                match self.elsewhere(&answer, &node) {
                    Some(place) if hop < HOPS => next.entry(place).or_default().push(at),
                    _ => drop(answers[at].insert(node, answer)),
                }
            }
            shares = next;
            if shares.is_empty() {
                break;
            }
        }
        answers.into_iter().map(joined).collect()
    }

    fn shares(&self, commands: &[&Cmd]) -> Shares {
        let map = self.topology.map();
        let mut shares = Shares::new();
        for (at, command) in commands.iter().enumerate() {
            let nodes = match key_of(command) {
                Some(key) => map.primary_of(slot_of(&key)).cloned().into_iter().collect(),
                None => map.primaries(),
            };
            for node in nodes {
                shares.entry((node, false)).or_default().push(at);
            }
        }
        shares
    }

    /// Who is to be asked instead of `node`, and whether with leave.
    fn elsewhere(&self, answer: &RedisResult<Value>, node: &Node) -> Option<(Node, bool)> {
        let Ok(Value::ServerError(error)) = answer else { return None };
        match again(error, node)? {
            Again::Moved(redirect) => {
                self.topology.moved(&redirect);
                Some((redirect.node, false))
            }
            Again::Ask(node) => Some((node, true)),
            // Whoever asks will ask again.
            Again::Later => None,
        }
    }

    /// Sees to it that there is a connection to each node that gets a share, where that is
    /// possible without waiting for one that did not answer before.
    async fn dial(&mut self, shares: &Shares) {
        let now = Instant::now();
        for (node, _) in shares.keys() {
            let is_new = match self.lines.get(node) {
                None => true,
                Some(Line::Down { until }) if *until <= now => false,
                Some(_) => continue,
            };
            self.lines.insert(node.clone(), Line::Dialed { is_new });
            let info = self.topology.info(node);
            self.spawn(node.clone(), connect(info));
        }
        while let Some(dialed) = self.dials.try_join_next_with_id() {
            self.settle(dialed);
        }
        let is_new = |line: Option<&Line>| matches!(line, Some(Line::Dialed { is_new: true }));
        while shares.keys().any(|(node, _)| is_new(self.lines.get(node))) {
            let Some(dialed) = self.dials.join_next_with_id().await else { break };
            self.settle(dialed);
        }
    }

    fn spawn(
        &mut self,
        node: Node,
        connecting: impl Future<Output = RedisResult<MultiplexedConnection>> + Send + 'static,
    ) {
        let dial = self.dials.spawn(async move {
            let dialed = timeout(DIAL_WITHIN, connecting).await;
            dialed.unwrap_or_else(|_| Err(silent()))
        });
        self.dialed.insert(dial.id(), node);
    }

    fn settle(
        &mut self,
        dialed: Result<(task::Id, RedisResult<MultiplexedConnection>), JoinError>,
    ) {
        // One that panicked, which its hook has told, is tried again like any other.
        let (id, connected) = match dialed {
            Ok((id, connected)) => (id, connected.ok()),
            Err(error) => (error.id(), None),
        };
        let Some(node) = self.dialed.remove(&id) else { return };
        match connected {
            Some(connection) => drop(self.lines.insert(node, Line::Up(connection))),
            None => self.lose(node),
        }
    }

    fn lose(&mut self, node: Node) {
        self.topology.doubt(None);
        let until = Instant::now() + DIAL_EVERY;
        self.lines.insert(node, Line::Down { until });
        // A node that has left the cluster is not kept in mind.
        let known = self.topology.map().nodes();
        self.lines.retain(|node, line| known.contains(node) || !matches!(line, Line::Down { .. }));
    }

    /// What each node answers to its share.
    async fn exchange(
        &mut self,
        commands: &[&Cmd],
        shares: Shares,
    ) -> Vec<(usize, Node, RedisResult<Value>)> {
        let mut all = Vec::with_capacity(commands.len());
        let mut asked = JoinSet::new();
        for ((node, asking), share) in shares {
            let Some(Line::Up(connection)) = self.lines.get(&node) else {
                all.extend(share.into_iter().map(|at| (at, node.clone(), Err(silent()))));
                continue;
            };
            let (connection, patience) = (connection.clone(), self.patience);
            let commands: Vec<Cmd> = share.iter().map(|at| commands[*at].clone()).collect();
            asked.spawn(async move {
                let outcome = timeout(patience, send(connection, commands, asking)).await;
                (node, share, outcome.unwrap_or_else(|_| Err(silent())))
            });
        }
        while let Some(done) = asked.join_next().await {
            let Ok((node, share, outcome)) = done else { continue };
            match outcome {
                Ok(values) => {
                    let answers = share.into_iter().zip(values);
                    all.extend(answers.map(|(at, value)| (at, node.clone(), Ok(value))));
                }
                Err(error) => {
                    let errors = share.into_iter().map(|at| (at, node.clone(), Err(error.clone())));
                    all.extend(errors);
                    self.lose(node);
                }
            }
        }
        all
    }
}

async fn connect(info: redis::ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(DIAL_WITHIN))
        .set_response_timeout(None);
    let client = Client::open(info)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    // The kernel of a server that hangs accepts connections all the same.
    redis::cmd("PING").query_async::<Value>(&mut connection).await?;
    Ok(connection)
}

async fn send(
    mut connection: MultiplexedConnection,
    commands: Vec<Cmd>,
    asking: bool,
) -> RedisResult<Vec<Value>> {
    let mut pipeline = redis::pipe();
    for command in commands {
        if asking {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(command);
    }
    let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
    let each = if asking { 2 } else { 1 };
    Ok(answers.into_iter().skip(each - 1).step_by(each).collect())
}

/// The key of a command that reads a stream; none for one about the server.
fn key_of(command: &Cmd) -> Option<String> {
    let words: Vec<&[u8]> = command
        .args_iter()
        .filter_map(|word| match word {
            redis::Arg::Simple(word) => Some(word),
            _ => None,
        })
        .collect();
    let key = match *words.first()? {
        b"INFO" => return None,
        b"XINFO" => words.get(2)?,
        b"XREAD" => words.get(words.iter().position(|word| *word == b"STREAMS")? + 1)?,
        _ => words.get(1)?,
    };
    Some(String::from_utf8_lossy(key).into_owned())
}

/// One answer to one command, of all nodes that were asked and answered.
fn joined(answers: BTreeMap<Node, RedisResult<Value>>) -> RedisResult<Value> {
    let mut text = Vec::new();
    let mut failed = None;
    let count = answers.len();
    for answer in answers.into_values() {
        match answer {
            Ok(Value::ServerError(error)) => failed = Some(error.into()),
            Ok(Value::BulkString(part)) if count > 1 => text.extend(part),
            Ok(value) => return Ok(value),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if text.is_empty() => Err(error),
        _ if count == 0 => Err((ErrorKind::Client, "no node of the cluster has this slot").into()),
        _ => Ok(Value::BulkString(text)),
    }
}

fn silent() -> RedisError {
    (ErrorKind::Io, "it does not answer").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Cmd {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
    }

    #[test]
    fn each_command_s_key_is_found() {
        for (words, key) in [
            (&["INFO", "replication"][..], None),
            (&["XLEN", "a"], Some("a")),
            (&["XREVRANGE", "a", "+", "-"], Some("a")),
            (&["XINFO", "STREAM", "a"], Some("a")),
            (&["XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "$"], Some("a")),
        ] {
            assert_eq!(key_of(&command(words)).as_deref(), key, "{words:?}");
        }
    }

    #[tokio::test]
    async fn a_dial_that_panics_is_one_that_failed() {
        let seed = redis::IntoConnectionInfo::into_connection_info("redis://a:1").unwrap();
        let mut scatter = Scatter::new(Topology::new(&[seed]), DIAL_WITHIN);
        let node = Node::new("a", 1);
        scatter.lines.insert(node.clone(), Line::Dialed { is_new: true });
        scatter.spawn(node.clone(), async { panic!("as no dial should") });
        let dialed = scatter.dials.join_next_with_id().await.unwrap();
        scatter.settle(dialed);
        let line = scatter.lines.get(&node);
        assert!(!matches!(line, Some(Line::Dialed { .. })), "it is never tried again");
    }

    #[test]
    fn what_several_nodes_said_is_one_text() {
        let node = |port| Node::new("a", port);
        let said = |text: &str| Ok(Value::BulkString(text.as_bytes().to_vec()));
        let both = BTreeMap::from([(node(2), said("two")), (node(1), said("one"))]);
        assert_eq!(joined(both).unwrap(), said("onetwo").unwrap());
        assert_eq!(joined(BTreeMap::from([(node(1), Ok(Value::Int(3)))])).unwrap(), Value::Int(3));
        let one_failed = BTreeMap::from([(node(1), said("one")), (node(2), Err(silent()))]);
        assert_eq!(joined(one_failed).unwrap(), said("one").unwrap());
        assert!(
            joined(BTreeMap::from([(node(1), Err(silent())), (node(2), Err(silent()))])).is_err()
        );
        assert!(joined(BTreeMap::new()).is_err());
    }
}
