//! Who gets in, by whichever transport: the checks that an upgrade to WebSocket and a
//! request for an event stream have in common, in one order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::header::HOST;
use http::request::Parts;
use redcast_address::client_address;
use redcast_node::{Access, ConnectionPermit, ConnectionRequest, Grant};

use crate::config::Endpoint;
use crate::error::Refusal;
use crate::metrics::Rejected;
use crate::router::Edge;

/// A client that there is room for.
pub(crate) struct Admitted {
    /// Counts the connection; belongs with its socket.
    pub(crate) permit: ConnectionPermit,
    /// What whoever decides has granted.
    pub(crate) grant: Grant,
}

/// Judges a request by its origin, by whether this instance takes connections at all and
/// at this rate, by whoever decides about clients, and counts the connection at last.
pub(crate) async fn admit(
    edge: &Edge,
    endpoint: &Endpoint,
    request: &Parts,
) -> Result<Admitted, Refusal> {
    if !endpoint.allowed_origins.permits(&request.headers) {
        return Err(Refusal::OriginForbidden);
    }
    check_draining(edge)?;
    edge.node.admit_handshake()?;
    let address = address(edge, request);
    let grant = match &edge.access {
        None => Grant::default(),
        Some(access) => {
            edge.node.check_room(address)?;
            let grant = decide(&**access, request, address).await?;
            // The decision may have taken a while.
            check_draining(edge)?;
            grant
        }
    };
    let permit = edge.node.admit(address)?;
    Ok(Admitted { permit, grant })
}

fn check_draining(edge: &Edge) -> Result<(), Refusal> {
    if edge.refuses_connections() {
        let text = "this instance is restarting; connect again".to_owned();
        return Err(Refusal::Unavailable(text, Rejected::Draining));
    }
    Ok(())
}

/// Asks who decides, in words that are not HTTP's.
async fn decide(
    access: &dyn Access,
    request: &Parts,
    client_address: IpAddr,
) -> Result<Grant, Refusal> {
    let mut headers = Vec::new();
    for name in access.wanted_headers() {
        let values = request.headers.get_all(name).into_iter();
        headers.extend(values.map(|value| (name.clone(), value.as_bytes().to_vec())));
    }
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let request = ConnectionRequest {
        method: request.method.to_string(),
        path: request.uri.path().to_owned(),
        query: request.uri.query().map(str::to_owned),
        host: host.map(str::to_owned),
        client_address,
        headers,
    };
    Ok(access.decide(&request).await?)
}

/// Whose request it is. Without an accept loop of ours there is no peer.
fn address(edge: &Edge, request: &Parts) -> IpAddr {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    client_address(peer, &request.headers, &edge.config.trusted_proxies)
}
