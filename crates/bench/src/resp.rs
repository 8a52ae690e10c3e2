//! As much of Redis's protocol, RESP2, as the benchmark speaks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Redis shares its core with the load generator: it may be late.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sends one command of `parts` to Redis at `address` (`HOST:PORT`) over a connection of
/// its own. None if the answer is nil; an error if it is one.
pub fn ask(address: &str, parts: &[&str]) -> Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(address).context("Redis does not answer")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    stream.write_all(command.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).with_context(|| format!("no answer to {parts:?}"))?;
        ensure!(read > 0, "Redis closed the connection after {parts:?}");
        answer.extend_from_slice(&buffer[..read]);
        if answer.starts_with(b"$-1\r\n") {
            return Ok(None);
        }
        if let Some((value, _)) = split_value(&answer) {
            let said = String::from_utf8_lossy(value);
            ensure!(!answer.starts_with(b"-"), "Redis said {:?} to {parts:?}", said.trim_end());
            return Ok(Some(value.to_vec()));
        }
    }
}

/// Splits the first push off `bytes`: its kind, its channel and its payload.
pub fn split_push(bytes: &[u8]) -> Option<([&[u8]; 3], &[u8])> {
    let (kind, rest) = split_value(bytes.get("*3\r\n".len()..)?)?;
    let (channel, rest) = split_value(rest)?;
    split_value(rest).map(|(last, rest)| ([kind, channel, last], rest))
}

/// Splits the first value off `bytes`: what a bulk string holds, else the whole line.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at(bytes.iter().position(|&byte| byte == b'\n')? + 1);
    let [b'$', length @ .., _, _] = line else { return Some((line, rest)) };
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    Some((rest.get(..length)?, rest.get(length + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_split_off_when_all_of_it_is_there() {
        let push = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nb\r\nc\r\n*3";
        let parts: [&[u8]; 3] = [b"message", b"a", b"b\r\nc"];
        assert_eq!(split_push(push), Some((parts, &b"*3"[..])));
        assert!((0..push.len() - 2).all(|cut| split_push(&push[..cut]).is_none()));
    }
}
