//! Views reach the store in order and in time, whatever the store does, and the state is
//! never ahead of it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::replay::{Replay, ReplayInput};

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Remembers what it took and when; the first calls may be answered otherwise.
#[derive(Default)]
struct List {
    taken: Mutex<Vec<(Instant, Vec<PageView>)>>,
    answers: Mutex<VecDeque<StoreError>>,
    /// The state file at the moment of each call.
    state: Option<PathBuf>,
    states: Mutex<Vec<String>>,
}

#[async_trait]
impl Store for List {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        if let Some(path) = &self.state {
            self.states.lock().unwrap().push(std::fs::read_to_string(path).unwrap());
        }
        if let Some(error) = self.answers.lock().unwrap().pop_front() {
            return Err(error);
        }
        self.taken.lock().unwrap().push((Instant::now(), views.to_vec()));
        Ok(())
    }
}

impl List {
    fn answering(answers: impl IntoIterator<Item = StoreError>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn paths(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|(_, views)| views).map(|view| view.path.to_string()).collect()
    }

    fn lines_in_state(&self) -> Vec<u64> {
        let states = self.states.lock().unwrap();
        let lines = |state: &String| {
            serde_json::from_str::<serde_json::Value>(state).unwrap()["lines"].as_u64().unwrap()
        };
        states.iter().map(lines).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.taken.lock().unwrap().iter().map(|(_, views)| views.len()).collect()
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("Redis is away".to_owned())
}

/// A view each of `/0`, `/1` and so on, at these seconds.
fn log(folder: &Path, seconds: impl IntoIterator<Item = u32>) -> ReplayConfig {
    let line = |(number, second): (usize, u32)| {
        format!(
            "192.0.2.1 - - [08/Dec/2025:12:{:02}:{:02} +0000] \"GET /{number} HTTP/1.1\" 200 5 \"-\" \"{AGENT}\"\n",
            second / 60,
            second % 60,
        )
    };
    let text: String = seconds.into_iter().enumerate().map(line).collect();
    let path = folder.join("access.log");
    std::fs::write(&path, text).unwrap();
    ReplayConfig::new(ReplayInput::File(path))
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("/{number}")).collect()
}

async fn run(config: ReplayConfig, store: &Arc<List>) -> Replayed {
    Replay::open(config).unwrap().run(store.clone(), CancellationToken::new()).await
}

#[tokio::test]
async fn as_fast_as_it_can_in_batches_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let config = ReplayConfig { speed: Speed::Max, ..log(folder.path(), [0; 1_300]) };
    let store = Arc::new(List::default());
    let before = SystemTime::now();
    let replayed = run(config.clone(), &store).await;
    assert!(replayed.end.unwrap());
    assert_eq!((replayed.summary.views, replayed.summary.lines), (1_300, 1_300));
    assert_eq!(store.paths(), expected(1_300));
    assert!(store.sizes().iter().all(|size| *size <= MAX_BATCH), "{:?}", store.sizes());
    assert!(store.sizes().len() < 10, "{:?}", store.sizes());
    let at = |store: &List| store.taken.lock().unwrap()[0].1[0].at;
    assert!((before..=SystemTime::now()).contains(&at(&store)));

    let store = Arc::new(List::default());
    run(ReplayConfig { keep_time: true, ..config }, &store).await;
    let kept = humantime::format_rfc3339_seconds(at(&store)).to_string();
    assert_eq!(kept, "2025-12-08T12:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn at_the_logs_pace_each_view_comes_when_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let config = log(folder.path(), [0, 10, 10, 11, 600]);
    let store = Arc::new(List::default());
    let progress = {
        let replay = Replay::open(ReplayConfig { speed: Speed::Times(10.0), ..config }).unwrap();
        let progress = replay.progress();
        assert!(replay.run(store.clone(), CancellationToken::new()).await.end.unwrap());
        progress.told()
    };
    let taken = store.taken.lock().unwrap();
    let at: Vec<_> = taken.iter().map(|(at, _)| (*at - taken[0].0).as_millis()).collect();
    // The clock of a runtime counts whole milliseconds.
    let close = |(at, due): (&u128, u128)| (due..due + 3).contains(at);
    assert!(at.iter().zip([0, 1_000, 1_050, 1_100, 60_000]).all(close), "{at:?}");
    assert_eq!((progress.views, progress.lines, Some(progress.bytes)), (5, 5, progress.size));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_and_gets_each_view_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = log(folder.path(), [0, 1, 2]);
    let store = List::answering((0..10).map(|_| unavailable()));
    let replayed = run(config, &store).await;
    assert!(replayed.end.unwrap());
    assert_eq!((store.paths(), replayed.summary.views), (expected(3), 3));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_the_run_and_the_state_knows_where() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let config = ReplayConfig {
        speed: Speed::Max,
        resume: Some(state.clone()),
        ..log(folder.path(), [0; 700])
    };
    let start = Instant::now();
    let store = List::answering((0..10_000).map(|_| unavailable()));
    let replayed = run(config.clone(), &store).await;
    assert_eq!(replayed.end.unwrap_err().to_string(), "line 1: Redis is away");
    assert!((30..40).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let store = Arc::new(List { state: Some(state), ..List::default() });
    let replayed = run(config.clone(), &store).await;
    assert_eq!((replayed.summary.resumed_behind, store.paths()), (0, expected(700)));
    // Each call sees a state in which all that was acknowledged before stands.
    assert_eq!(store.lines_in_state()[..2], [0, 500]);
    let replayed = run(config, &Arc::new(List::default())).await;
    assert_eq!((replayed.summary.resumed_behind, replayed.summary.lines), (700, 0));
    assert!(replayed.end.unwrap());
}

#[tokio::test]
async fn a_refusal_ends_the_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = List::answering([StoreError::Refused("NOPERM".to_owned())]);
    let replayed = run(log(folder.path(), [0, 0]), &store).await;
    assert_eq!(replayed.end.unwrap_err().to_string(), "line 1: NOPERM");
    assert_eq!(replayed.summary.views, 0);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_counted_is_not_sent_again_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let late = || StoreError::Unknown("Redis did not answer".to_owned());
    let store = List::answering([late()]);
    let replayed = run(log(folder.path(), [0, 1, 2]), &store).await;
    let error = replayed.end.unwrap_err().to_string();
    assert_eq!(error, "1 page views may be missing: Redis did not answer");
    assert_eq!((replayed.summary.views, replayed.summary.unknown), (2, 1));
    assert_eq!(store.paths(), ["/1", "/2"]);

    let store = List::answering((0..100).map(|_| late()));
    let replayed = run(log(folder.path(), 0..100), &store).await;
    assert!(matches!(replayed.end, Err(ReplayError::Store { line: 30..34, .. })), "{replayed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_says_so_and_another_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        ReplayConfig { resume: Some(folder.path().join("state")), ..log(folder.path(), 0..60) };
    let store = Arc::new(List::default());
    let stop = CancellationToken::new();
    let stopper = async {
        sleep(Duration::from_millis(20_500)).await;
        stop.cancel();
    };
    let replay = Replay::open(config.clone()).unwrap();
    let (replayed, ()) = tokio::join!(replay.run(store.clone(), stop.clone()), stopper);
    assert!(!replayed.end.unwrap());
    assert_eq!((replayed.summary.views, replayed.summary.lines), (21, 21));
    let replayed = run(config, &store).await;
    assert_eq!((replayed.summary.resumed_behind, replayed.summary.views), (21, 39));
    assert_eq!(store.paths(), expected(60));
}

#[tokio::test]
async fn a_text_that_is_no_log_is_an_error_and_an_empty_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("poem");
    let config = ReplayConfig::new(ReplayInput::File(path.clone()));
    std::fs::write(&path, "roses\nare\nred\nviolets\n").unwrap();
    let replayed = run(config.clone(), &Arc::new(List::default())).await;
    let error = replayed.end.unwrap_err().to_string();
    assert!(error.ends_with("none of its 4 lines could be read"), "{error}");
    assert_eq!(replayed.summary.unreadable_lines, [1, 2, 3]);
    std::fs::write(&path, "").unwrap();
    assert!(run(config, &Arc::new(List::default())).await.end.unwrap());
}
