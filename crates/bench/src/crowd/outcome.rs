//! What came of a crowd: figures of each instance and of all, and their table.

use serde::{Deserialize, Serialize};

use super::words::Served;
use crate::table::{aligned, number};

/// What came of a crowd.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// From the first connect to the last 101, over all instances.
    pub connect_seconds: f64,
    /// Each instance.
    pub instances: Vec<Instance>,
}

/// One instance and its clients; or all of them, summed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Instance {
    /// Clients that were to be opened.
    pub clients: usize,
    /// Connections open at the same moment, once all instances had all of theirs.
    pub open: usize,
    /// From the first connect to the last 101.
    pub connect_seconds: f64,
    /// Resident memory before the first client, KB.
    pub fresh_kb: u64,
    /// Resident memory that came with the clients, KB.
    pub grown_kb: u64,
    /// The gauge `redcast_connections` while all were open.
    pub gauge: u64,
    /// Its CPU time from the first connect to the last 101.
    pub connect_cpu_seconds: f64,
    /// Its CPU time while the events went out.
    pub publish_cpu_seconds: f64,
    /// How its clients were served.
    #[serde(flatten)]
    pub result: Served,
}

impl Instance {
    /// Resident KB that each connection added.
    pub fn kb_per_connection(&self) -> f64 {
        self.grown_kb as f64 / self.clients.max(1) as f64
    }

    fn row(&self, name: String) -> Vec<String> {
        let Self { result, .. } = self;
        let count = |value: usize| number(Some(value as f64), 0);
        vec![
            name,
            count(self.clients),
            count(self.open),
            number(Some(self.gauge as f64), 0),
            count(result.served),
            number(Some(result.lost as f64), 0),
            number(Some(result.duplicated as f64), 0),
            number(Some(result.reordered as f64), 0),
            number(Some(self.connect_seconds), 1),
            number(Some(result.last_ms), 0),
            number(Some(self.kb_per_connection()), 2),
            number(Some(self.connect_cpu_seconds * 1e6 / self.clients as f64), 1),
        ]
    }
}

const HEADING: [&str; 12] = [
    "instance",
    "clients",
    "open",
    "gauge",
    "served",
    "lost",
    "duplicated",
    "reordered",
    "connect s",
    "last ms",
    "KB/conn",
    "µs/handshake",
];

impl Outcome {
    /// All instances as one.
    pub fn all(&self) -> Instance {
        let mut all = Instance { connect_seconds: self.connect_seconds, ..Instance::default() };
        for instance in &self.instances {
            all.clients += instance.clients;
            all.open += instance.open;
            all.fresh_kb += instance.fresh_kb;
            all.grown_kb += instance.grown_kb;
            all.gauge += instance.gauge;
            all.connect_cpu_seconds += instance.connect_cpu_seconds;
            all.publish_cpu_seconds += instance.publish_cpu_seconds;
            let (sum, result) = (&mut all.result, &instance.result);
            sum.still_open += result.still_open;
            sum.served += result.served;
            sum.lost += result.lost;
            sum.duplicated += result.duplicated;
            sum.reordered += result.reordered;
            sum.last_ms = sum.last_ms.max(result.last_ms);
        }
        all
    }

    /// A row for each instance and one for all.
    pub fn table(&self) -> String {
        let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
        for (number, instance) in (1..).zip(&self.instances) {
            rows.push(instance.row(format!("{number}")));
        }
        rows.push(self.all().row("all".to_owned()));
        format!("last ms: from a publish to its receipt by the last client\n{}", aligned(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(clients: usize, served: usize, last_ms: f64) -> Instance {
        let lost = (clients - served) as u64;
        let result = Served { still_open: clients, served, lost, last_ms, ..Served::default() };
        let (grown_kb, gauge) = (clients as u64, clients as u64);
        Instance { clients, open: clients, grown_kb, gauge, result, ..Instance::default() }
    }

    #[test]
    fn counts_are_summed_and_the_last_client_is_that_of_all() {
        let instances = vec![instance(1_000, 1_000, 30.0), instance(500, 499, 70.0)];
        let outcome = Outcome { connect_seconds: 2.5, instances };
        let all = outcome.all();
        assert_eq!((all.clients, all.open, all.gauge), (1_500, 1_500, 1_500));
        assert_eq!((all.result.served, all.result.lost), (1_499, 1));
        assert_eq!((all.connect_seconds, all.result.last_ms), (2.5, 70.0));
        assert_eq!(all.kb_per_connection(), 1.0);
        let table = outcome.table();
        let last = table.lines().last().unwrap_or_default();
        let words: Vec<&str> = last.split_whitespace().collect();
        assert_eq!(words[..6], ["all", "1,500", "1,500", "1,500", "1,499", "1"], "{table}");
    }

    #[test]
    fn an_outcome_is_read_back_from_its_json() {
        let instance = instance(1_000, 990, 7.5);
        let outcome = Outcome { connect_seconds: 1.5, instances: vec![instance] };
        let json = serde_json::to_string(&outcome).unwrap();
        let read: Outcome = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}
