//! A network namespace behind a link that a test can cut, as a broken network does:
//! no FIN, no RST, silence.

use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use std::process::Command;

/// Where Debian keeps `ip`, which a user's PATH may not name.
const IP_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// A namespace, its end of a link and ours; all gone when dropped.
pub struct Namespace {
    name: String,
    /// Our end of the link.
    outside: String,
    /// The namespace's end.
    inside: String,
    subnet: [u8; 3],
}

impl Namespace {
    /// Makes a namespace with a link to it. Panics with one clear sentence where this
    /// process may not.
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test cuts a link in a network namespace, which only root may make: \
             run `make test` as root (in a container also with NET_ADMIN and SYS_ADMIN)"
        );
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rc{}n{number}", std::process::id());
        let namespace = Self {
            outside: format!("{name}o"),
            inside: format!("{name}i"),
            subnet: free_subnet(std::process::id().wrapping_mul(8).wrapping_add(number)),
            name,
        };
        namespace.set_up();
        namespace
    }

    fn set_up(&self) {
        let Self { name, outside, inside, .. } = self;
        let address = |host| format!("{}/30", self.host(host));
        ip(&["netns", "add", name]);
        ip(&["link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name]);
        ip(&["address", "add", &address(1), "dev", outside]);
        ip(&["link", "set", outside, "up"]);
        ip(&["-n", name, "address", "add", &address(2), "dev", inside]);
        ip(&["-n", name, "link", "set", inside, "up"]);
    }

    /// Our address on the link, where a server should listen.
    pub fn address(&self) -> Ipv4Addr {
        self.host(1)
    }

    /// The namespace's address on the link, where a server inside should listen.
    pub fn inner_address(&self) -> Ipv4Addr {
        self.host(2)
    }

    /// A command that runs inside.
    pub fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.env("PATH", IP_PATH).args(["netns", "exec", &self.name, program]);
        command
    }

    /// Cuts the link: what is sent from now on reaches nobody.
    pub fn cut(&self) {
        // The inner end, because the outer one would take its route with it, and the
        // packets would look for another way.
        ip(&["-n", &self.name, "link", "set", &self.inside, "down"]);
    }

    /// Mends the link after [`Self::cut`]: what is sent again arrives.
    pub fn mend(&self) {
        ip(&["-n", &self.name, "link", "set", &self.inside, "up"]);
    }

    fn host(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, host)
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link goes with its end inside; a process that still runs there would
        // keep both, so our end is removed by itself.
        let _ = try_ip(&["link", "delete", &self.outside]);
        let _ = try_ip(&["netns", "delete", &self.name]);
    }
}

/// A subnet of 10.0.0.0/8 that no route of this machine names.
fn free_subnet(seed: u32) -> [u8; 3] {
    let routes = ip(&["-4", "route", "show", "table", "all"]);
    let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
    let candidates = (0..256).map(|step| {
        let [b, c, ..] = seed.wrapping_add(step * 257).to_le_bytes();
        [10, b, c]
    });
    let is_free = |[a, b, c]: &[u8; 3]| !routes.contains(&format!("{a}.{b}.{c}."));
    candidates.into_iter().find(is_free).expect("some 10.x.y.0/30 is free")
}

fn ip(arguments: &[&str]) -> Output {
    let output = try_ip(arguments).unwrap_or_else(|error| {
        panic!("`ip` can't be started ({error}): install iproute2, as `make test` does")
    });
    assert!(
        output.status.success(),
        "`ip {}` failed: {}; making a namespace needs NET_ADMIN and SYS_ADMIN",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    output
}

fn try_ip(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("ip").env("PATH", IP_PATH).args(arguments).output()
}
