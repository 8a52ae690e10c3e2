//! Clients that come and go at any moment, while a reader takes over and loses streams.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use prometheus::IntGauge;
use redcast_protocol::Cursor;

use super::*;
use crate::redis::streams::link::{Lineages, NoAnswer};
use crate::redis::streams::tail::Census;
use crate::redis::wishes::Refusal;

/// More channels than seats, so that readers change.
const CHANNELS: usize = 3;
const READERS: usize = 2;
const GAMES: u64 = 3_000;
const TURNS: usize = 120;
const ROUND: Duration = Duration::from_secs(1);

/// How far a client's change of mind about a channel has come: the lock of the channel's
/// entry is held meanwhile, but readers go on between any two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mind {
    Settled,
    /// It has a seat, with this reader; whether it has to begin anew.
    Seated(usize, bool),
    /// It is about to want it, of this reader.
    Begun(usize),
    /// Its seat, with this reader, is given back.
    Left(usize),
}

struct Client {
    channel: Channel,
    is_wanted: bool,
    mind: Mind,
    /// Whether a place was told since it was wanted last.
    has_place: bool,
}

/// A stream that is being taken over: Redis was asked, or has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Asked,
    Told,
}

struct Player {
    desk: Desk,
    followed: Followed,
    taking: Vec<(Channel, Taking)>,
}

struct Game {
    dice: Rng,
    seats: Arc<Seats>,
    clients: Vec<Client>,
    players: Vec<Player>,
    now: Instant,
}

fn lineages() -> Lineages {
    let one = Arc::new(BTreeSet::from(["run_id:1".to_owned()]));
    Lineages { earlier: Arc::clone(&one), later: one }
}

impl Player {
    fn key(&self, channel: &Channel) -> String {
        self.desk.names.channel(channel)
    }

    /// Every channel that counts as confirmed is read, or is known to be lost.
    fn check(&self, clients: &[Client]) {
        let lost: Vec<Channel> = self.followed.lost().cloned().collect();
        for Client { channel, .. } in clients {
            let is_on = self.desk.wishes.live_channel(channel.as_str()).is_some();
            let is_read = self.followed.is_live(&self.key(channel)) || lost.contains(channel);
            assert!(is_read || !is_on, "{channel} counts as confirmed and is not read");
        }
    }
}

impl Game {
    fn new(seed: u64) -> Self {
        let seats = Arc::new(Seats::new(READERS, 1));
        let player = |number| {
            let wishes = Wishes::new(IntGauge::new("channels", "of this game").unwrap());
            wishes.link_up();
            let (names, wishes, seats) = (Names::new(""), Arc::new(wishes), Arc::clone(&seats));
            let desk = Desk { number, names, wishes, seats };
            Player { desk, followed: Followed::default(), taking: Vec::new() }
        };
        let client = |number| Client {
            channel: Channel::parse(&format!("channel:{number}")).unwrap(),
            is_wanted: false,
            mind: Mind::Settled,
            has_place: false,
        };
        Self {
            dice: Rng::with_seed(seed),
            players: (0..READERS).map(player).collect(),
            clients: (0..CHANNELS).map(client).collect(),
            seats,
            now: Instant::now(),
        }
    }

    fn change_mind(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.mind = match client.mind {
            Mind::Settled if client.is_wanted => {
                (client.is_wanted, client.has_place) = (false, false);
                self.seats.leave(&client.channel).map_or(Mind::Settled, Mind::Left)
            }
            Mind::Left(reader) => {
                self.players[reader].desk.wishes.forget(&client.channel);
                Mind::Settled
            }
            Mind::Settled => {
                let (reader, is_renewed) = self.seats.take(&client.channel);
                Mind::Seated(reader, is_renewed)
            }
            Mind::Seated(reader, is_renewed) => {
                if is_renewed {
                    self.players[reader].desk.wishes.begin_anew(&client.channel);
                }
                Mind::Begun(reader)
            }
            Mind::Begun(reader) => {
                let _ = self.players[reader].desk.wishes.want(&client.channel, 1);
                client.is_wanted = true;
                Mind::Settled
            }
        };
    }

    /// The reader's next step, as its session takes it.
    fn go_on(&mut self, number: usize) {
        let player = &mut self.players[number];
        let Some((channel, taking)) = player.taking.pop() else {
            let wanted = player.desk.settle(&mut player.followed, self.now, 1);
            player.taking = wanted.into_iter().map(|channel| (channel, Taking::Asked)).collect();
            return;
        };
        let key = player.key(&channel);
        match taking {
            Taking::Asked if !player.desk.still_serves(&mut player.followed, &channel) => {}
            Taking::Asked => {
                let stream = player.followed.follow(&key, &channel);
                if stream.tail.cursor().is_none() {
                    let place = stream.open(&Census::Absent, &lineages());
                    assert_eq!(place, Cursor::BEGINNING);
                    let client = self.clients.iter_mut().find(|client| client.channel == channel);
                    client.unwrap().has_place = true;
                }
                player.taking.push((channel, Taking::Told));
            }
            Taking::Told => {
                let stream = player.followed.follow(&key, &channel);
                stream.goes_on(&Census::Absent);
                player.desk.wishes.subscribed(&channel, 1);
            }
        }
    }

    /// Whatever may happen to a reader.
    fn strike(&mut self, number: usize) {
        let channel = self.clients[self.dice.usize(..CHANNELS)].channel.clone();
        let player = &mut self.players[number];
        let key = player.key(&channel);
        match self.dice.u8(..5) {
            0 => {
                player.taking.clear();
                player.desk.wishes.link_lost(1);
                player.followed.connection_is_new();
                player.desk.wishes.link_up();
            }
            1 => {
                player.followed.unless_lost::<()>(&key, Err(NoAnswer::Stream)).unwrap();
            }
            2 => {
                let is_asked = |taking: &mut (Channel, Taking)| taking.1 == Taking::Asked;
                let Some((channel, _)) = player.taking.pop_if(is_asked) else { return };
                let reason = "refused".to_owned();
                let is_final = self.dice.bool();
                player.desk.wishes.refused(&channel, &Refusal { is_final, reason });
                let client = self.clients.iter_mut().find(|client| client.channel == channel);
                let client = client.filter(|client| client.is_wanted);
                // Whoever waited for it was told, and has nothing to give back.
                if let (Some(client), false) = (client, player.desk.wishes.knows(&channel)) {
                    (client.is_wanted, client.has_place) = (false, false);
                    self.seats.leave(&channel);
                }
            }
            _ => self.look_around(number),
        }
    }

    fn look_around(&mut self, number: usize) {
        let player = &mut self.players[number];
        // Only between two rounds, as a session does.
        if player.taking.is_empty() {
            self.now += ROUND;
            player.desk.wishes.ask_again(self.now, ROUND);
            player.desk.sweep(&mut player.followed);
        }
    }

    fn turn(&mut self) {
        let reader = self.dice.usize(..READERS);
        let channel = self.dice.usize(..CHANNELS);
        match self.dice.u8(..20) {
            0..9 => self.change_mind(channel),
            9..18 => self.go_on(reader),
            _ => self.strike(reader),
        }
        self.players.iter().for_each(|player| player.check(&self.clients));
    }

    /// Nothing happens any more, and readers do what is left to be done.
    fn come_to_rest(&mut self) {
        for number in 0..CHANNELS {
            while self.clients[number].mind != Mind::Settled {
                self.change_mind(number);
            }
        }
        for _ in 0..4 {
            for number in 0..READERS {
                self.look_around(number);
                for _ in 0..4 * CHANNELS {
                    self.go_on(number);
                }
            }
        }
        self.players.iter().for_each(|player| player.check(&self.clients));
    }

    fn judge(&self) {
        for Client { channel, is_wanted, has_place, .. } in &self.clients {
            let is_read = |player: &Player| player.followed.is_live(&player.key(channel));
            let seat = self.seats.reader(channel);
            assert_eq!(
                self.players.iter().position(is_read),
                seat,
                "{channel} is read in its seat"
            );
            assert_eq!(seat.is_some(), *is_wanted, "{channel} has a seat if it is wanted");
            assert!(*has_place || !*is_wanted, "{channel} goes on where others left it");
        }
        for player in &self.players {
            assert!(player.desk.wishes.tally().is_settled(), "everything wanted is live");
        }
    }
}

#[test]
fn whatever_is_wanted_is_read_in_the_end_and_what_counts_as_live_is_read_at_any_time() {
    for seed in 0..GAMES {
        let play = std::panic::catch_unwind(|| {
            let mut game = Game::new(seed);
            for _ in 0..TURNS {
                game.turn();
            }
            game.come_to_rest();
            game.judge();
        });
        assert!(play.is_ok(), "in the game of seed {seed}");
    }
}
