//! Numbers that are published under load, and what is heard of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_broker::{Broker, Delivery};
use redcast_protocol::Channel;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{LIMIT, Rig};

/// Publishes numbers to each channel until it is told to stop; returns how many Redis has
/// acknowledged of each channel.
pub struct Load {
    running: JoinSet<(Channel, Vec<u64>)>,
    stop: CancellationToken,
}

impl Load {
    pub fn start(broker: &Arc<dyn Broker>, channels: &[Channel]) -> Self {
        let mut load = Self { running: JoinSet::new(), stop: CancellationToken::new() };
        for channel in channels.iter().cloned() {
            let (broker, stop) = (Arc::clone(broker), load.stop.clone());
            load.running.spawn(async move {
                let mut sent = Vec::new();
                for number in 0.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    let payload = Bytes::from(number.to_string());
                    if broker.publish(&channel, payload).await.is_ok() {
                        sent.push(number);
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                (channel, sent)
            });
        }
        load
    }

    pub async fn stop(self) -> HashMap<Channel, Vec<u64>> {
        self.stop.cancel();
        let done = timeout(LIMIT, self.running.join_all()).await.expect("the load ends");
        done.into_iter().collect()
    }
}

/// What was heard of each channel.
#[derive(Default)]
pub struct Heard {
    pub numbers: HashMap<Channel, Vec<u64>>,
    pub gaps: HashMap<Channel, Vec<Duration>>,
    /// How often a stream could not be followed without a break.
    pub resets: HashMap<Channel, usize>,
    /// The longest time between two events.
    pub silences: HashMap<Channel, Duration>,
    pub last: HashMap<Channel, Instant>,
}

impl Heard {
    pub fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(event) => {
                let number = std::str::from_utf8(&event.payload).unwrap().parse().unwrap();
                self.numbers.entry(event.channel.clone()).or_default().push(number);
                if let Some(last) = self.last.insert(event.channel.clone(), event.received) {
                    let silence = self.silences.entry(event.channel).or_default();
                    *silence = (*silence).max(event.received - last);
                }
            }
            Delivery::Position(position) => {
                if position.reset.is_some() {
                    *self.resets.entry(position.channel).or_default() += 1;
                }
            }
            Delivery::Gap(gap) => {
                let length = Duration::from_millis(gap.to_ms - gap.from_ms);
                self.gaps.entry(gap.channel).or_default().push(length);
            }
            Delivery::Refused(error) => panic!("refused: {error}"),
            Delivery::Passed { .. } => {}
        }
    }

    /// Reads until `enough` says so.
    pub async fn listen(&mut self, rig: &mut Rig, mut enough: impl FnMut(&Self) -> bool) {
        while !enough(self) {
            let delivery = rig.inbox.next().await;
            self.take(delivery);
        }
    }

    /// Reads until everything that was acknowledged at last has been heard.
    pub async fn listen_to_the_end(&mut self, rig: &mut Rig, sent: &HashMap<Channel, Vec<u64>>) {
        self.listen(rig, |heard| {
            sent.iter().all(|(channel, sent)| {
                heard.numbers.get(channel).and_then(|heard| heard.last()) >= sent.last()
            })
        })
        .await;
    }

    pub fn count(&self, channel: &Channel) -> usize {
        self.numbers.get(channel).map_or(0, Vec::len)
    }

    pub fn gaps(&self, channel: &Channel) -> usize {
        self.gaps.get(channel).map_or(0, Vec::len)
    }

    /// Nothing lost, nothing twice, nothing out of order.
    pub fn assert_untouched(&self, channel: &Channel, sent: &HashMap<Channel, Vec<u64>>) {
        assert_eq!(self.gaps(channel), 0, "{channel} has a gap");
        let heard: Vec<u64> = self.numbers[channel].clone();
        assert!(heard.is_sorted_by(|a, b| a < b), "{channel}: {heard:?}");
        let missing: Vec<_> =
            sent[channel].iter().filter(|number| heard.binary_search(number).is_err()).collect();
        assert!(missing.is_empty(), "{channel} misses {missing:?}");
    }
}
