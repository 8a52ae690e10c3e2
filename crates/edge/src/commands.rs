//! From a command to the node's verbs and back to a reply.

use bytes::Bytes;
use redcast_hub::{Form, Socket};
use redcast_node::{JoinError, Participant};
use redcast_protocol::{
    Channel, CloseCode, Command, CommandId, Cursor, ErrorCode, Reply, Request, Start, Subscription,
};
use redcast_wire::text_frame;

use crate::life::Life;
use crate::socket::ClientSocket;

/// A refused command: what kind of refusal, and one sentence.
type Refused = (ErrorCode, String);

struct Desk<'a, S: Socket> {
    life: &'a Life,
    participant: &'a mut Participant<S>,
}

/// What a connection asks for when it connects, beside what its endpoint joins anyway.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// From where the client wants to resume.
    pub(crate) since: Vec<(Channel, Cursor)>,
    /// More channels to join; the client may have them.
    pub(crate) channels: Vec<Channel>,
    /// Under which `id` to acknowledge the joins, if at all.
    pub(crate) id: Option<CommandId>,
}

/// Welcomes an envelope connection, greets with the endpoint's snapshot, and joins the
/// endpoint's channels: the state comes before whatever changes it.
pub(crate) async fn greet<S: Socket>(
    life: &Life,
    participant: &mut Participant<S>,
    wishes: Wishes,
) {
    let endpoint = life.endpoint();
    if participant.connection().encoding().form == Form::Envelope {
        let identity = &life.edge.identity;
        let welcome = Reply::Welcome { instance: &identity.instance, version: identity.version };
        participant.connection().send(&text_frame(&welcome.encode()));
    }
    if let Some(name) = &endpoint.snapshot
        && let Some(snapshot) = life.edge.node.snapshots().find(name)
        && participant.watch(snapshot).await.is_err()
    {
        let close = CloseCode::Internal;
        return participant.connection().close_after_flush(close, close.reason());
    }
    let mut desk = Desk { life, participant };
    let Wishes { since, channels, id } = wishes;
    let joins = |channel| endpoint.access.join.contains(channel) || channels.contains(channel);
    for (stranger, _) in since.iter().filter(|(named, _)| !joins(named)) {
        let message = format!("`since` names {stranger}, which is not joined on connect");
        desk.refuse(ErrorCode::BadRequest, &message, None);
    }
    let start = |channel: &Channel| {
        let known = since.iter().find(|(named, _)| named == channel);
        known.map_or(Start::Now, |(_, cursor)| Start::Since(*cursor))
    };
    let channels = endpoint.access.join.iter().chain(&channels);
    let wanted: Vec<Subscription> = channels
        .map(|channel| Subscription { channel: channel.clone(), start: start(channel) })
        .collect();
    if let Err((code, message)) = desk.subscribe(&wanted, id.as_ref()).await {
        // Without its channels the connection is of no use to its client.
        let close = match code {
            ErrorCode::Forbidden => CloseCode::Forbidden,
            ErrorCode::Unavailable => CloseCode::TryAgainLater,
            _ => CloseCode::Internal,
        };
        desk.refuse(code, &message, None);
        desk.participant.connection().close_after_flush(close, close.reason());
    }
}

/// Carries out one text message.
pub(crate) async fn obey(life: &Life, participant: &mut Participant<ClientSocket>, text: String) {
    #[cfg(feature = "echo")]
    if crate::echo::is_at(life) {
        return crate::echo::send_back_text(participant.connection(), &text);
    }
    let mut desk = Desk { life, participant };
    let request = match Request::parse(&text) {
        Ok(request) => request,
        Err(error) => return desk.refuse(error.code, &error.message, error.id.as_ref()),
    };
    life.edge.metrics.unknown_fields.inc_by(request.unknown_fields as u64);
    let id = request.id.as_ref();
    let done = match request.command {
        Command::Subscribe(wanted) => desk.subscribe(&wanted, id).await,
        Command::Unsubscribe(channel) => desk.unsubscribe(&channel, id).await,
        Command::Ping => {
            desk.reply(Reply::Pong);
            desk.acknowledge(id);
            Ok(())
        }
        Command::RefreshStats => desk.refresh_stats(id).await,
        Command::Publish => Err(unsupported("clients can't publish here")),
    };
    if let Err((code, message)) = done {
        desk.refuse(code, &message, id);
    }
}

/// Tells a client that a command came too fast and was not carried out.
pub(crate) fn refuse_pace(life: &Life, participant: &mut Participant<ClientSocket>, text: &str) {
    let id = Request::parse(text).map_or_else(|error| error.id, |request| request.id);
    let desk = Desk { life, participant };
    desk.refuse(ErrorCode::RateLimited, "too many commands; send fewer a second", id.as_ref());
}

impl<S: Socket> Desk<'_, S> {
    async fn subscribe(
        &mut self,
        wanted: &[Subscription],
        id: Option<&CommandId>,
    ) -> Result<(), Refused> {
        let stranger = wanted.iter().find(|wish| !self.life.permits(&wish.channel));
        if let Some(Subscription { channel, .. }) = stranger {
            let message = match channel.is_reserved() {
                true => format!("{channel} is Redcast's own: nobody else may be in it"),
                false => format!("this endpoint does not offer the channel {channel}"),
            };
            return Err((ErrorCode::Forbidden, message));
        }
        let id = id.filter(|_| self.acknowledges());
        let ack = |cursors: &[(Channel, Cursor)]| {
            id.map(|id| text_frame(&Reply::Ack { id, cursors }.encode()))
        };
        self.participant.subscribe(wanted, ack).await.map_err(|error| refusal(&error))
    }

    async fn unsubscribe(
        &mut self,
        channel: &Channel,
        id: Option<&CommandId>,
    ) -> Result<(), Refused> {
        let was_in = self.participant.leave(channel, self.acknowledgement(id)).await;
        match was_in {
            Ok(true) => Ok(()),
            Ok(false) => Err((ErrorCode::UnknownChannel, format!("not subscribed to {channel}"))),
            Err(closed) => Err((ErrorCode::Internal, closed.to_string())),
        }
    }

    async fn refresh_stats(&self, id: Option<&CommandId>) -> Result<(), Refused> {
        let Some(snapshot) = self.participant.snapshot() else {
            return Err(unsupported("this endpoint has no snapshot"));
        };
        let answer = snapshot.answer().await;
        self.participant.connection().send(&answer);
        self.acknowledge(id);
        Ok(())
    }

    fn acknowledges(&self) -> bool {
        self.participant.connection().encoding().form == Form::Envelope
    }

    /// The frame that says a command was carried out, where that is wanted.
    fn acknowledgement(&self, id: Option<&CommandId>) -> Option<Bytes> {
        let id = id.filter(|_| self.acknowledges())?;
        Some(text_frame(&Reply::Ack { id, cursors: &[] }.encode()))
    }

    fn acknowledge(&self, id: Option<&CommandId>) {
        if let Some(frame) = self.acknowledgement(id) {
            self.participant.connection().send(&frame);
        }
    }

    fn refuse(&self, code: ErrorCode, message: &str, id: Option<&CommandId>) {
        self.life.edge.metrics.count_refused(code);
        if self.participant.connection().encoding().form != Form::Quiet {
            self.reply(Reply::Error { code, message, id });
        }
    }

    fn reply(&self, reply: Reply<'_>) {
        self.participant.connection().send(&text_frame(&reply.encode()));
    }
}

fn unsupported(message: &str) -> Refused {
    (ErrorCode::NotSupported, message.to_owned())
}

fn refusal(error: &JoinError) -> Refused {
    let code = match error {
        JoinError::TooMany(_) => ErrorCode::RateLimited,
        JoinError::Refused(_) => ErrorCode::Forbidden,
        JoinError::NoHistory(_) => ErrorCode::BadRequest,
        JoinError::Unavailable(_) => ErrorCode::Unavailable,
        JoinError::Closed(_) => ErrorCode::Internal,
    };
    (code, error.to_string())
}
