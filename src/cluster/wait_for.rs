//! Waiting for replay by a server's own means, where it has them: `WAIT FOR LSN` of PostgreSQL 19.
//! <https://www.postgresql.org/docs/19/sql-wait-for.html>
//!
//! It only says when to ask. What a replica has replayed, and of which timeline, is asked afterwards as of any other, so
//! nothing is believed of this answer.

use tokio_postgres::Client;

use crate::freshness::Lsn;

/// `server_version_num` of the first server that has it.
const SINCE: u32 = 190_000;
/// Longest wait in one command: other questions on the connection come after it.
const PATIENCE_MS: u32 = 20;

/// Whether a server can be asked to say when it has come to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitFor {
    /// It has the command.
    Command,
    /// It is asked again and again where it stands.
    Polling,
}

impl WaitFor {
    /// What a server of this version can do.
    pub(super) fn of(version: u32) -> Self {
        if version >= SINCE { Self::Command } else { Self::Polling }
    }

    /// Waits until the replica says that it has replayed `lsn`, or for some milliseconds. False at once if it has to be
    /// polled. Cancel safe.
    pub(super) async fn reached(&mut self, client: &Client, lsn: Lsn) -> bool {
        if *self == Self::Polling {
            return false;
        }
        match client.simple_query(&command(lsn)).await {
            Ok(_) => true,
            Err(error) => {
                tracing::info!(%error, "the server does not take WAIT FOR LSN, it is polled");
                *self = Self::Polling;
                false
            }
        }
    }
}

fn command(lsn: Lsn) -> String {
    format!("wait for lsn '{lsn}' with (mode 'standby_replay', timeout '{PATIENCE_MS}ms', no_throw)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        self, Frontend, Severity, TransactionStatus, encode, frontend_message, query_text, startup_packet,
    };
    use bytes::{Buf, BytesMut};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// Plays a server that lets everybody in and answers simple queries: with a row, or with an error where there is none.
    async fn play(mut stream: DuplexStream, row: Option<&'static str>) -> Vec<String> {
        let (mut inbox, mut outbox, mut heard) = (BytesMut::new(), BytesMut::new(), Vec::new());
        while startup_packet(&inbox).unwrap().is_none() {
            stream.read_buf(&mut inbox).await.unwrap();
        }
        inbox.clear();
        encode::authentication_ok(&mut outbox);
        encode::ready(&mut outbox, TransactionStatus::Idle);
        loop {
            stream.write_all_buf(&mut outbox).await.unwrap();
            let header = loop {
                match frontend_message(&inbox).unwrap() {
                    Some(header) if inbox.len() >= header.len => break header,
                    _ if stream.read_buf(&mut inbox).await.unwrap() == 0 => return heard,
                    _ => {}
                }
            };
            if header.kind == Frontend::Terminate {
                return heard;
            }
            heard.push(
                String::from_utf8(query_text(wire::body(&inbox, header.len)).unwrap().to_vec()).unwrap(),
            );
            inbox.advance(header.len);
            match row {
                Some(row) => {
                    encode::text_columns(&mut outbox, &["status"]);
                    encode::text_row(&mut outbox, &[row]);
                    encode::command_complete(&mut outbox, "WAIT");
                }
                None => encode::error(
                    &mut outbox,
                    Severity::Error,
                    "42601",
                    "syntax error at or near \"wait\"",
                    "",
                    "",
                ),
            }
            encode::ready(&mut outbox, TransactionStatus::Idle);
        }
    }

    /// What became of two waits at a server that answers so, and what it was told.
    async fn waits(version: u32, row: Option<&'static str>) -> ([bool; 2], Vec<String>) {
        let (ours, theirs) = tokio::io::duplex(4096);
        let server = tokio::spawn(play(theirs, row));
        let mut config = tokio_postgres::Config::new();
        let (client, connection) = config.user("app").connect_raw(ours, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut how = WaitFor::of(version);
        let lsn = Lsn(0x0300_0148);
        let found = [how.reached(&client, lsn).await, how.reached(&client, lsn).await];
        drop(client);
        connection.await.unwrap().unwrap();
        (found, server.await.unwrap())
    }

    #[tokio::test]
    async fn the_command_is_used_where_the_server_has_it() {
        let command =
            "wait for lsn '0/3000148' with (mode 'standby_replay', timeout '20ms', no_throw)".to_owned();
        for row in ["success", "timeout", "not in recovery"] {
            assert_eq!(waits(190_000, Some(row)).await, ([true; 2], vec![command.clone(); 2]));
        }
        assert_eq!(
            waits(190_000, None).await,
            ([false; 2], vec![command]),
            "a server that refuses is polled from then on"
        );
        assert_eq!(waits(180_006, Some("success")).await, ([false; 2], Vec::new()));
    }
}
