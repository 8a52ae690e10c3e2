//! `netns-clients ADDRESS PATH COUNT`: many clients in a process of their own, so that
//! a test can start them inside a network namespace. Says `connected` once all are,
//! answers pings, and ends with its standard input. Below `/sse/` they read streams.

#![allow(clippy::expect_used, reason = "a test's helper fails by panicking")]

use futures_util::future::join_all;
use redcast_e2e::{Message, RawClient, SseClient, raise_descriptor_limit};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: netns-clients ADDRESS PATH COUNT");
    let (address, path, count) = (next(), next(), next());
    let count: usize = count.parse().expect("COUNT is a number");
    raise_descriptor_limit();
    end_with_the_input();
    if path.starts_with("/sse/") {
        let clients = join_all((0..count).map(|_| SseClient::connect(&address, &path))).await;
        println!("connected");
        join_all(clients.into_iter().map(read)).await;
    } else {
        let clients = join_all((0..count).map(|_| RawClient::connect(&address, &path))).await;
        println!("connected");
        join_all(clients.into_iter().map(answer_pings)).await;
    }
}

async fn read(mut client: SseClient) {
    while client.block_whenever().await.is_some() {}
}

async fn answer_pings(mut client: RawClient) {
    while client.message_whenever().await != Message::End {}
}

fn end_with_the_input() {
    std::thread::spawn(|| {
        // Nothing is ever said on it; its end is the signal.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}
