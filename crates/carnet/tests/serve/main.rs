//! The gateway as it is run: the built binary, real sockets, callers on one side and a scripted
//! upstream on the other. Every test ends the server in good order, verifies its log and counts the
//! records: one for each request of a valid key, under the id that its caller was told.

#![cfg(test)]

mod access_log;
mod activation;
mod backup;
mod bodies;
mod cached;
mod carried;
mod client_certificates;
mod conversations;
mod decisions;
mod detection;
mod dialects;
mod doctor;
mod embedded;
mod encodings;
mod engine;
mod exactness;
mod failover;
mod failures;
mod hangups;
mod harness;
mod heads;
mod hedged;
mod http2;
mod incidents;
mod issuers;
mod keep_alive;
mod kept;
mod keys;
mod late;
mod limited;
mod metrics;
mod mismatch;
mod pitfalls;
mod pools;
mod registry_update;
mod reload;
mod revoke;
mod routes;
mod routing_fields;
mod service_account;
mod services;
mod shown_model;
mod sockets;
mod spent;
mod stop;
mod stored;
mod telemetry;
mod tokens;
mod translations;
mod translations_more;
mod upstream_tls;
mod websocket;
