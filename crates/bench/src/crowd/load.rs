//! A load process: some thousands of clients of one instance, told what to do and
//! telling what it sees. The descriptors of one process don't suffice for a crowd.

use std::io::{BufReader, stdin, stdout};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::words::{Order, Report, Served, listen, say};
use crate::clients::{Clients, Tally};
use crate::machine::reserve_descriptors;
use crate::server::Target;
use crate::setup::Setup;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Opens `count` connections to `url` and obeys until the input ends.
pub fn run(url: &str, count: usize) -> Result<()> {
    let outcome = serve(url, count);
    if let Err(error) = &outcome {
        tell(&Report::Failed(format!("{error:#}")))?;
    }
    // The bench says it, as the reason why its run ended.
    Ok(())
}

fn serve(url: &str, count: usize) -> Result<()> {
    reserve_descriptors(count)?;
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut clients =
        Clients::open_telling(&Target::parse(url)?, count, Setup::default(), |upgraded| {
            if told.elapsed() < TELL_EVERY {
                return Ok(());
            }
            told = Instant::now();
            tell(&Report::Connected(upgraded))
        })?;
    tell(&Report::Ready(start.elapsed().as_secs_f64()))?;
    clients.tally.timing = true;
    let (orders, mut news) = (follow_orders()?, News::default());
    loop {
        clients.poll(Duration::from_millis(20))?;
        news.tell(&clients.tally)?;
        match orders.try_recv() {
            Ok(Order::Count) => tell(&Report::Open(open(&clients)))?,
            Ok(Order::Result(published)) => tell(&Report::Result(result(&clients, published)))?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

fn follow_orders() -> Result<Receiver<Order>> {
    let (sender, orders) = sync_channel(8);
    std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
        for order in listen(BufReader::new(stdin())) {
            if sender.send(order).is_err() {
                return;
            }
        }
    })?;
    Ok(orders)
}

fn tell(report: &Report) -> Result<()> {
    say(&mut stdout().lock(), report)
}

fn open(clients: &Clients) -> usize {
    clients.tally.upgraded - clients.tally.closed
}

fn result(clients: &Clients, published: u64) -> Served {
    let verdict = clients.verdict(published);
    Served {
        still_open: open(clients),
        served: clients.served(published),
        lost: verdict.lost,
        duplicated: verdict.duplicated,
        reordered: verdict.reordered,
        last_ms: clients.tally.latency.max().unwrap_or(0) as f64 / 1e6,
    }
}

/// What was told last, so that only news is told.
struct News {
    told: Instant,
    probed: usize,
    delivered: u64,
}

impl Default for News {
    fn default() -> Self {
        Self { told: Instant::now(), probed: 0, delivered: 0 }
    }
}

impl News {
    fn tell(&mut self, tally: &Tally) -> Result<()> {
        if self.told.elapsed() < TELL_EVERY {
            return Ok(());
        }
        if tally.probed != self.probed {
            tell(&Report::Probed(tally.probed))?;
        }
        if tally.delivered != self.delivered {
            tell(&Report::Delivered(tally.delivered))?;
        }
        (self.told, self.probed, self.delivered) = (Instant::now(), tally.probed, tally.delivered);
        Ok(())
    }
}
