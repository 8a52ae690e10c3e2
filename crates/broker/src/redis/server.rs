//! What is told of Redis when something is wrong: where it is and why, in one line; never
//! as whom it is asked.

use redis::{ConnectionAddr, ErrorKind, RedisError};

use super::url::Address;

use super::tls;

/// The codes of a Redis that wants a password, or another one (redis.io, AUTH and HELLO).
const NOT_LET_IN: [&str; 2] = ["NOAUTH", "WRONGPASS"];

/// Names one Redis in messages.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// `host:port` or the path of a socket; the URL's user and password are no part of it.
    place: String,
}

impl Server {
    /// The one at `address`, which was read from `url`.
    pub(super) fn of(address: &Address, url: &str) -> Self {
        let info = match address {
            Address::One(info) => info,
            // Where it is changes; what it is called does not.
            Address::Sentinel(address) => {
                return Self { place: format!("{} (by Sentinel)", address.master) };
            }
            Address::Cluster(nodes) => {
                let places: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
                return Self { place: format!("{} (a cluster)", places.join(",")) };
            }
        };
        // A password with one of these signs in it ends the host and port too early, and
        // part of it is then taken for them.
        let spilled = url
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'))
            .is_some_and(|(userinfo, _)| userinfo.contains(['/', '?', '#']));
        match info.addr() {
            ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } if spilled => {
                Self { place: "redis.url".to_owned() }
            }
            addr => Self { place: addr.to_string() },
        }
    }

    /// Why nothing can be asked of it.
    pub(super) fn trouble(&self, error: &RedisError) -> String {
        match error.kind() {
            ErrorKind::Parse => format!("{} {}", self.place, words(error)),
            _ if is_not_let_in(error) => {
                format!("Redis at {} does not let us in: {}", self.place, words(error))
            }
            _ => self.away(&words(error)),
        }
    }

    /// It can't be used, for a reason that is ours to tell.
    pub(super) fn away(&self, why: &str) -> String {
        format!("Redis at {} is not available: {why}", self.place)
    }

    /// It can be used, and did not want this.
    pub(super) fn refused(&self, what: &str, why: &str) -> String {
        format!("Redis at {} refused {what}: {why}", self.place)
    }
}

/// Whether Redis refuses whatever we ask, because of who asks.
pub(super) fn is_not_let_in(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || error.code().is_some_and(|code| NOT_LET_IN.contains(&code))
}

/// An error for people, in one line: Redis's own words where it spoke, `NOPERM …` and the
/// like; else the client library's, without its names of things.
pub(super) fn words(error: &RedisError) -> String {
    if error.kind() == ErrorKind::Parse {
        // The library tells over several lines where in a grammar it stopped.
        return "answers, but not as Redis does".to_owned();
    }
    if let (Some(code), Some(detail)) = (error.code(), error.detail()) {
        return format!("{code} {detail}");
    }
    if let Some(words) = tls::words(error) {
        return words;
    }
    let text = error.to_string().replacen(&format!(" - {:?}", error.kind()), "", 1);
    // The number says what the words before it say.
    let text = text.split(" (os error ").next().unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server_at(url: &str) -> Server {
        Server::of(&Address::read(url).unwrap(), url)
    }

    fn server() -> Server {
        server_at("redis://user:hunter2@cache.example:6380/1")
    }

    #[test]
    fn a_message_names_the_place_and_no_password() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(
            server().trouble(&refused.into()),
            "Redis at cache.example:6380 is not available: Connection refused"
        );
        let refused = (ErrorKind::AuthenticationFailed, "Password authentication failed");
        assert_eq!(
            server().trouble(&refused.into()),
            "Redis at cache.example:6380 does not let us in: Password authentication failed"
        );
        let path = server_at("unix:///run/redis.sock?pass=hunter2");
        assert_eq!(path.away("x"), "Redis at /run/redis.sock is not available: x");
        // The library takes the user for the host here.
        let spilled = server_at("redis://user:12345#x@cache.example").away("x");
        assert_eq!(spilled, "Redis at redis.url is not available: x");
    }

    #[test]
    fn what_is_no_redis_is_told_in_one_line() {
        let error = redis::parse_redis_value(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
        let expected = "cache.example:6380 answers, but not as Redis does";
        assert_eq!(server().trouble(&error), expected);
    }

    #[test]
    fn the_library_s_names_of_things_are_left_out() {
        let detail = "why".to_owned();
        let error = (ErrorKind::InvalidClientConfig, "Not a thing", detail).into();
        assert_eq!(words(&error), "Not a thing: why");
        assert_eq!(words(&(ErrorKind::InvalidClientConfig, "Not a thing").into()), "Not a thing");
    }
}
