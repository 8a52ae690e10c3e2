//! What a request for an event stream asks for: `?channel=NAME`, repeatable, beside what
//! the endpoint joins anyway; `?envelope=1`; and where to go on, in `Last-Event-ID` or
//! `?last_event_id=`.

use http::request::Parts;
use http::{HeaderName, Method, header};
use redcast_protocol::Channel;

use super::cursors::{Cursors, fit_into_an_id};
use crate::config::Endpoint;
use crate::error::Refusal;
use crate::query::percent_decoded;
use crate::router::Edge;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A request that can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Channels to join beside those of the endpoint, each once.
    pub(crate) channels: Vec<Channel>,
    /// Where the client is, in channels that it joins.
    pub(crate) resumed: Cursors,
    /// Whether it wants envelopes instead of payloads.
    pub(crate) envelopes: bool,
    /// Which fault to have, in a build for tests.
    #[cfg(feature = "faults")]
    pub(crate) fault: Option<String>,
}

impl Asked {
    /// Reads a request. What can't be joined later is refused now, because a browser's
    /// EventSource gives up at a refusal and would come back for ever after a close.
    pub(crate) fn read(edge: &Edge, endpoint: &Endpoint, request: &Parts) -> Result<Self, Refusal> {
        // The router takes HEAD for GET; nobody would read the stream.
        if request.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        let headers = &request.headers;
        if headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING)
        {
            return Err(bad("a request for an event stream has no body"));
        }
        let mut asked = Self::parse(request.uri.query(), &endpoint.access.join)?;
        if let Some(id) = headers.get(LAST_EVENT_ID) {
            // The newer one: the query is that of the first request, for ever.
            asked.resumed = resumed(id.as_bytes())?;
        }
        let joined = || endpoint.access.join.iter().chain(&asked.channels);
        let most = edge.node.max_subscriptions();
        if joined().count() > most {
            return Err(bad(&format!("a connection can be in at most {most} channels")));
        }
        if !fit_into_an_id(joined().filter(|channel| edge.node.has_history(channel))) {
            let text = "the cursors of so many stream channels do not fit into one event id; \
                ask for fewer of them, or connect by WebSocket";
            return Err(bad(text));
        }
        let known: Vec<Channel> = joined().cloned().collect();
        // A channel that the page has asked for before and no longer does.
        asked.resumed.retain(|channel| known.contains(channel));
        Ok(asked)
    }

    /// Reads the query. Parameters that we don't know are the application's.
    fn parse(query: Option<&str>, joined: &[Channel]) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        for (name, value) in pairs {
            let value = percent_decoded(value);
            match name {
                "channel" => asked.add_channel(&value, joined)?,
                "last_event_id" => asked.resumed = resumed(&value)?,
                "envelope" => asked.envelopes = value == b"1",
                #[cfg(feature = "faults")]
                "fault" => asked.fault = String::from_utf8(value).ok(),
                _ => {}
            }
        }
        Ok(asked)
    }

    fn add_channel(&mut self, name: &[u8], joined: &[Channel]) -> Result<(), Refusal> {
        let channel = std::str::from_utf8(name).ok().map(Channel::parse);
        let Some(Ok(channel)) = channel else {
            return Err(bad("`channel` must be a channel's name"));
        };
        if !joined.contains(&channel) && !self.channels.contains(&channel) {
            self.channels.push(channel);
        }
        Ok(())
    }
}

fn resumed(id: &[u8]) -> Result<Cursors, Refusal> {
    let id = std::str::from_utf8(id).map_err(|_| bad("`Last-Event-ID` must be UTF-8"))?;
    Cursors::parse(id).map_err(|error| bad(&format!("`Last-Event-ID`: {error}")))
}

fn bad(text: &str) -> Refusal {
    Refusal::BadRequest(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Channel> {
        names.iter().map(|name| Channel::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_query_names_channels_once_each_and_a_place() {
        let query = "x=1&channel=a%3A1&channel=b&channel=a:1&channel=home\
            &last_event_id=a%3A1%3A5-1.0000000a%2Cb:6-0.00000001&envelope=1&y";
        let asked = Asked::parse(Some(query), &names(&["home"])).unwrap();
        assert_eq!(asked.channels, names(&["a:1", "b"]));
        assert_eq!(asked.resumed.to_string(), "a:1:5-1.0000000a,b:6-0.00000001");
        assert!(asked.envelopes);
        assert_eq!(Asked::parse(None, &[]).unwrap(), Asked::default());
        assert!(!Asked::parse(Some("envelope=0&last_event_id="), &[]).unwrap().envelopes);
        for bad in
            ["channel=", "channel=a%20b", "channel=%FF", "last_event_id=a", "last_event_id=%FF"]
        {
            assert!(Asked::parse(Some(bad), &[]).is_err(), "{bad}");
        }
    }
}
