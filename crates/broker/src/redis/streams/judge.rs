//! What was read is held against what Redis has of the place before it, and told only then.

use std::time::{Duration, Instant};

use redcast_protocol::Cursor;
use redis::Pipeline;

use super::entry::Entry;
use super::followed::Followed;
use super::link::{Answers, Broken, Lineages, Link, ask_before, ask_census, ask_lineage};
use super::reader::Reader;
use super::tail::{Census, EntryId, Verdict};

/// What a read brought: the entries of each stream that had any, by its key.
pub(crate) type Read = Vec<(String, Vec<Entry>)>;

/// Tells what was read, once it is certain that nothing is missing before it.
pub(crate) async fn tell(
    read: Read,
    link: &mut Link,
    followed: &mut Followed,
    Reader { outlet, desk, .. }: &Reader,
) -> Result<(), Broken> {
    let received = Instant::now();
    let verdicts = judge(&read, link, followed).await?;
    for ((key, entries), verdict) in read.into_iter().zip(verdicts) {
        let Some(stream) = followed.get_mut(&key) else { continue };
        // What was left while it was read is nobody's.
        let is_wanted = desk.wishes.live_channel(stream.channel.as_str()).is_some();
        match (verdict, entries.last().map(Entry::cursor)) {
            (Verdict::Intact, Some(last)) => {
                outlet.metrics().streams.repaired.inc_by(stream.repaired(&entries));
                let count = entries.len() as u64;
                for entry in entries.into_iter().filter(|_| is_wanted) {
                    outlet.entry(&stream.channel, entry, received).await;
                }
                stream.tail.advance(last, count);
            }
            (Verdict::Reset(reason), _) if is_wanted => {
                let cursor = stream.tail.cursor().unwrap_or(Cursor::BEGINNING);
                outlet.position(&stream.channel, cursor, Some(reason)).await;
            }
            // It is read again.
            (Verdict::AskCensus | Verdict::Reset(_), _) | (Verdict::Intact, None) => {}
        }
    }
    Ok(())
}

/// Judges the places of streams of which nothing was read.
pub(crate) async fn verify(
    keys: &[String],
    link: &mut Link,
    followed: &mut Followed,
    Reader { outlet, desk, .. }: &Reader,
) -> Result<(), Broken> {
    let mut questions = redis::pipe();
    for key in keys {
        questions.add_command(ask_before(key, place(followed, key)));
        questions.add_command(ask_census(key));
    }
    ask_lineage(&mut questions);
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let before = followed.unless_lost(key, answers.before())?;
        found.push(before.zip(followed.unless_lost(key, answers.census())?));
    }
    let lineages = link.lineages(&mut answers)?;
    for (key, found) in keys.iter().zip(found) {
        let Some((before, census)) = found else { continue };
        let Some(stream) = followed.get_mut(key) else { continue };
        outlet.metrics().streams.verifications.inc();
        let verdict = stream.judge(&[], before, Some((&census, &lineages)));
        let is_wanted = desk.wishes.live_channel(stream.channel.as_str()).is_some();
        if let (Verdict::Reset(reason), Some(cursor), true) =
            (verdict, stream.tail.cursor(), is_wanted)
        {
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
    let mut verdicts = vec![Verdict::AskCensus; read.len()];
    let (known, others): (Vec<usize>, Vec<usize>) =
        (0..read.len()).partition(|at| needs_census(followed, &read[*at].0));
    let mut questions = redis::pipe();
    for (key, _) in read {
        questions.add_command(ask_before(key, place(followed, key)));
    }
    let is_due = !read.is_empty() && link.lineage_is_old();
    ask_censuses(&mut questions, read, &known, is_due);
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    let mut befores = Vec::with_capacity(read.len());
    for (key, _) in read {
        befores.push(followed.unless_lost(key, answers.before())?);
    }
    let (censuses, lineages) = read_censuses(&mut answers, link, followed, read, &known, is_due)?;
    // What was read of one and is judged by another may be of two histories.
    if link.has_moved() || lineages.as_ref().is_some_and(Lineages::differ) {
        return Ok(verdicts);
    }
    for at in others {
        if let Some(before) = befores[at] {
            verdicts[at] = verdict(followed, &read[at], before, None);
        }
    }
    for (at, census) in known.iter().zip(&censuses) {
        if let (Some(before), Some(census), Some(lineages)) = (befores[*at], census, &lineages) {
            verdicts[*at] = verdict(followed, &read[*at], before, Some((census, lineages)));
        }
    }
    let unknown: Vec<usize> = (0..read.len())
        // Of one that was lost nothing is said; it is judged when it is found again.
        .filter(|at| verdicts[*at] == Verdict::AskCensus && followed.is_live(&read[*at].0))
        .filter(|at| !known.contains(at))
        .collect();
    let mut questions = redis::pipe();
    ask_censuses(&mut questions, read, &unknown, false);
    let mut answers = link.ask(questions, Duration::ZERO).await?;
    let (censuses, lineages) = read_censuses(&mut answers, link, followed, read, &unknown, false)?;
    let Some(lineages) = lineages.filter(|lineages| !lineages.differ()) else {
        return Ok(verdicts);
    };
    for (at, census) in unknown.into_iter().zip(&censuses) {
        if let (Some(before), Some(census)) = (befores[at], census) {
            verdicts[at] = verdict(followed, &read[at], before, Some((census, &lineages)));
        }
    }
    Ok(verdicts)
}

/// Asks for the censuses of some of the streams that were read, and for the lineage in
/// which they were taken. What was read in another one is void.
fn ask_censuses(questions: &mut Pipeline, read: &Read, some: &[usize], is_due: bool) {
    for at in some {
        questions.add_command(ask_census(&read[*at].0));
    }
    if is_due || !some.is_empty() {
        ask_lineage(questions);
    }
}

fn read_censuses(
    answers: &mut Answers,
    link: &mut Link,
    followed: &mut Followed,
    read: &Read,
    some: &[usize],
    is_due: bool,
) -> Result<(Vec<Option<Census>>, Option<Lineages>), Broken> {
    let mut censuses = Vec::with_capacity(some.len());
    for at in some {
        censuses.push(followed.unless_lost(&read[*at].0, answers.census())?);
    }
    let lineages = match is_due || !some.is_empty() {
        true => Some(link.lineages(answers)?),
        false => None,
    };
    Ok((censuses, lineages))
}

fn verdict(
    followed: &mut Followed,
    (key, entries): &(String, Vec<Entry>),
    before: Option<Cursor>,
    census: Option<(&Census, &Lineages)>,
) -> Verdict {
    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
    let stream = followed.get_mut(key);
    stream.map_or(Verdict::AskCensus, |stream| stream.judge(&ids, before, census))
}

fn needs_census(followed: &mut Followed, key: &str) -> bool {
    followed.get_mut(key).is_some_and(|stream| stream.tail.needs_census())
}

fn place(followed: &mut Followed, key: &str) -> EntryId {
    let cursor = followed.get_mut(key).and_then(|stream| stream.tail.cursor());
    cursor.unwrap_or(Cursor::BEGINNING).id()
}
