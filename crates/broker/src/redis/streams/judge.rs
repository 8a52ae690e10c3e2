//! What was read is held against what Redis has of the place before it, and told only then.

use std::time::{Duration, Instant};

use redcast_protocol::Cursor;

use super::entry::Entry;
use super::followed::Followed;
use super::link::{Broken, Link, ask_before, ask_census};
use super::outlet::Outlet;
use super::tail::{Census, EntryId, Verdict};

/// What a read brought: the entries of each stream that had any, by its key.
pub(crate) type Read = Vec<(String, Vec<Entry>)>;

/// Tells what was read, once it is certain that nothing is missing before it.
pub(crate) async fn tell(
    read: Read,
    link: &mut Link,
    followed: &mut Followed,
    outlet: &Outlet,
) -> Result<(), Broken> {
    let received = Instant::now();
    let verdicts = judge(&read, link, followed).await?;
    for ((key, entries), verdict) in read.into_iter().zip(verdicts) {
        let Some(stream) = followed.get_mut(&key) else { continue };
        match (verdict, entries.last().map(Entry::cursor)) {
            (Verdict::Intact, Some(last)) => {
                outlet.metrics().streams.repaired.inc_by(stream.repaired(&entries));
                let count = entries.len() as u64;
                for entry in entries {
                    outlet.entry(&stream.channel, entry, received).await;
                }
                stream.tail.advance(last, count);
            }
            (Verdict::Reset(reason), _) => {
                let cursor = stream.tail.cursor().unwrap_or(Cursor::BEGINNING);
                outlet.position(&stream.channel, cursor, Some(reason)).await;
            }
            // It is read again.
            (Verdict::AskCensus, _) | (Verdict::Intact, None) => {}
        }
    }
    Ok(())
}

/// Judges the places of streams of which nothing was read.
pub(crate) async fn verify(
    keys: &[String],
    link: &mut Link,
    followed: &mut Followed,
    outlet: &Outlet,
) -> Result<(), Broken> {
    let mut questions = redis::pipe();
    for key in keys {
        questions.add_command(ask_before(key, place(followed, key)));
        questions.add_command(ask_census(key));
    }
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    for key in keys {
        let before = followed.unless_lost(key, answers.before())?;
        let census = followed.unless_lost(key, answers.census())?;
        let (Some(before), Some(census)) = (before, census) else { continue };
        let Some(stream) = followed.get_mut(key) else { continue };
        outlet.metrics().streams.verifications.inc();
        let verdict = stream.tail.judge(&[], before, Some(&census));
        if let (Verdict::Reset(reason), Some(cursor)) = (verdict, stream.tail.cursor()) {
            outlet.position(&stream.channel, cursor, Some(reason)).await;
        }
    }
    Ok(())
}

/// One verdict for each stream. Those that need a census and did not know it before get it
/// with a second question.
async fn judge(
    read: &Read,
    link: &mut Link,
    followed: &mut Followed,
) -> Result<Vec<Verdict>, Broken> {
    let with_census: Vec<bool> = read.iter().map(|(key, _)| needs_census(followed, key)).collect();
    let mut questions = redis::pipe();
    for ((key, _), with_census) in read.iter().zip(&with_census) {
        questions.add_command(ask_before(key, place(followed, key)));
        if *with_census {
            questions.add_command(ask_census(key));
        }
    }
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    let mut befores = Vec::with_capacity(read.len());
    let mut verdicts = Vec::with_capacity(read.len());
    for (one, with_census) in read.iter().zip(with_census) {
        let before = followed.unless_lost(&one.0, answers.before())?;
        let census = match with_census {
            true => followed.unless_lost(&one.0, answers.census())?,
            false => None,
        };
        befores.push(before.flatten());
        verdicts.push(match before {
            Some(before) => verdict(followed, one, before, census.as_ref()),
            None => Verdict::AskCensus,
        });
    }
    // Of one that was lost nothing is said; it is judged when it is found again.
    let is_asked = |followed: &Followed, key: &str, verdict| {
        verdict == Verdict::AskCensus && followed.is_live(key)
    };
    let mut questions = redis::pipe();
    for ((key, _), verdict) in read.iter().zip(&verdicts) {
        if is_asked(followed, key, *verdict) {
            questions.add_command(ask_census(key));
        }
    }
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    for (at, one) in read.iter().enumerate() {
        if is_asked(followed, &one.0, verdicts[at])
            && let Some(census) = followed.unless_lost(&one.0, answers.census())?
        {
            verdicts[at] = verdict(followed, one, befores[at], Some(&census));
        }
    }
    Ok(verdicts)
}

fn verdict(
    followed: &mut Followed,
    (key, entries): &(String, Vec<Entry>),
    before: Option<Cursor>,
    census: Option<&Census>,
) -> Verdict {
    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
    let stream = followed.get_mut(key);
    stream.map_or(Verdict::AskCensus, |stream| stream.tail.judge(&ids, before, census))
}

fn needs_census(followed: &mut Followed, key: &str) -> bool {
    followed.get_mut(key).is_some_and(|stream| stream.tail.needs_census())
}

fn place(followed: &mut Followed, key: &str) -> EntryId {
    let cursor = followed.get_mut(key).and_then(|stream| stream.tail.cursor());
    cursor.unwrap_or(Cursor::BEGINNING).id()
}
