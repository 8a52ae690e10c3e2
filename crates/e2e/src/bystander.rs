//! An honest client beside an attack: it must receive every event, in order, while
//! somebody else misbehaves on the same gateway.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::Gateway;
use crate::raw_client::{Message, RawClient};
use crate::redis_server::RedisServer;

/// How often an event is published for it.
const PACE: Duration = Duration::from_millis(5);
/// How many it gets at the least, also where an attack is over in a moment.
const AT_LEAST: usize = 20;
/// How long a single event may take beside an attack, on a machine that is busy with
/// other tests: whoever stalls everybody stalls them for longer.
const WORST: Duration = Duration::from_secs(2);
const LAST: &str = "last";

/// A client and its producer at work, on a thread of their own, so that what is
/// measured is the gateway's delay and not that of the attack's own tasks.
pub struct Bystander {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Witness>,
}

/// What the bystander lived through.
#[derive(Debug, Clone, Copy)]
pub struct Witness {
    /// Events published, each received once and in its place.
    pub events: usize,
    /// From just before PUBLISH to the client: the middle one.
    pub median: Duration,
    /// The one of which 1 % took longer.
    pub p99: Duration,
    /// The longest.
    pub worst: Duration,
}

impl Bystander {
    /// Connects to a path that joins `channel`, and publishes to it from now on.
    pub async fn start(gateway: &Gateway, redis: &RedisServer, path: &str, channel: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, begun) = oneshot::channel();
        let (address, path) = (gateway.public().to_owned(), path.to_owned());
        let (client, channel) = (redis.client(), channel.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let producer = client.get_multiplexed_async_connection().await.expect("Redis");
                let mut reader = RawClient::connect(&address, &path).await;
                reader.settled().await;
                let _ = ready.send(());
                let publishing = publish(producer, &channel, stopped);
                let began = Instant::now();
                let (events, delays) = tokio::join!(publishing(began), read(reader, began));
                witness(events, delays)
            })
        });
        begun.await.expect("the bystander connects");
        Self { stop, thread }
    }

    /// Ends it; panics if an event was lost, came twice, late or out of order, or if
    /// anything but events arrived. Prints what it saw.
    pub async fn finish(self, what: &str) -> Witness {
        let _ = self.stop.send(());
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.expect("it is joined");
        let witness = joined.unwrap_or_else(|_| panic!("{what}: a bystander was harmed"));
        let Witness { events, median, p99, worst } = witness;
        println!("{what}: a bystander got {events} events, {median:.1?} {p99:.1?} {worst:.1?}");
        assert!(worst < WORST, "{what}: an event took {worst:?} to a bystander");
        witness
    }
}

fn publish(
    mut producer: MultiplexedConnection,
    channel: &str,
    mut stopped: oneshot::Receiver<()>,
) -> impl AsyncFnOnce(Instant) -> usize {
    let channel = channel.to_owned();
    async move |began: Instant| {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = 0;
        let mut goes_on = || stopped.try_recv() == Err(TryRecvError::Empty);
        while goes_on() || events < AT_LEAST {
            pace.tick().await;
            let event = format!("{events} {}", began.elapsed().as_micros());
            send(&mut producer, &channel, &event).await;
            events += 1;
        }
        send(&mut producer, &channel, LAST).await;
        events
    }
}

async fn send(producer: &mut MultiplexedConnection, channel: &str, event: &str) {
    let heard: usize = redis::cmd("PUBLISH")
        .arg(channel)
        .arg(event)
        .query_async(producer)
        .await
        .expect("Redis takes the event");
    assert!(heard > 0, "the gateway is no longer subscribed");
}

async fn read(mut reader: RawClient, began: Instant) -> Vec<Duration> {
    let mut delays = Vec::new();
    loop {
        let text = match reader.message().await {
            Message::Text(text) if text == LAST => return delays,
            Message::Text(text) => text,
            other => panic!("after {} events: {other:?}", delays.len()),
        };
        let (number, sent) = text.split_once(' ').expect("a number and a time");
        assert_eq!(number.parse(), Ok(delays.len()), "an event is missing or out of order");
        let sent = Duration::from_micros(sent.parse().expect("microseconds"));
        delays.push(began.elapsed().saturating_sub(sent));
    }
}

fn witness(events: usize, mut delays: Vec<Duration>) -> Witness {
    assert_eq!(delays.len(), events, "the last events are missing");
    delays.sort_unstable();
    let at = |percent: usize| delays[(events - 1) * percent / 100];
    Witness { events, median: at(50), p99: at(99), worst: at(100) }
}
