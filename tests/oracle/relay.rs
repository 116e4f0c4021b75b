//! Passes messages between a client and a server, and looks at each answer before the client hears that it is complete.

use std::io;
use std::net::{SocketAddr, TcpStream};

use tidegate::wire::{Backend, Frontend, Startup, StartupParameters, encode};

use crate::answer::Answer;
use crate::peer::Peer;
use crate::word::Word;

/// Bytes of an answer that are held back at most.
const HELD: usize = 64 * 1024;

/// A client and the server that it talks to.
pub struct Relay {
    pub client: Peer,
    pub server: Peer,
}

/// An answer that has been passed on, all but its `ReadyForQuery`.
pub struct Passed {
    pub answer: Answer,
    pub ready: Vec<u8>,
}

impl Relay {
    /// Opens a session for a client that has just connected, with start-up parameters that `asking` makes of its own. What
    /// the server answers is still to be passed on. `None` if it came to cancel something.
    pub fn open(
        client: TcpStream,
        server: SocketAddr,
        asking: impl Fn(&StartupParameters) -> StartupParameters,
    ) -> io::Result<Option<(Self, StartupParameters)>> {
        let mut client = Peer::over(client)?;
        let parameters = loop {
            match client.read_startup()? {
                (Startup::Ssl | Startup::GssEnc, _) => client.send(encode::encryption_refused)?,
                (Startup::Cancel(_), packet) => {
                    let mut server = Peer::connect(server)?;
                    server.write(&packet)?;
                    server.drain();
                    return Ok(None);
                }
                (Startup::Session(parameters), _) => break parameters,
            }
        };
        let mut server = Peer::connect(server)?;
        server.send(|out| encode::startup(out, &asking(&parameters)))?;
        Ok(Some((Self { client, server }, parameters)))
    }

    /// Passes on everything before `ReadyForQuery`, without what Tidegate says to us.
    pub fn pass(&mut self) -> io::Result<Passed> {
        let (mut answer, mut held) = (Answer::default(), Vec::new());
        loop {
            let message = match self.server.read_backend() {
                Ok(message) => message,
                Err(error) => {
                    self.client.write(&held)?;
                    return Err(error);
                }
            };
            answer.take(&message);
            match message.kind {
                Backend::NoticeResponse if Word::read(message.body()).is_some() => {}
                Backend::ReadyForQuery => {
                    self.client.write(&held)?;
                    return Ok(Passed { answer, ready: message.bytes });
                }
                Backend::CopyInResponse => {
                    held.extend(message.bytes);
                    self.client.write(&std::mem::take(&mut held))?;
                    self.pass_copy_data()?;
                }
                _ => held.extend(message.bytes),
            }
            if held.len() > HELD {
                self.client.write(&std::mem::take(&mut held))?;
            }
        }
    }

    fn pass_copy_data(&mut self) -> io::Result<()> {
        loop {
            let message = self.client.read_frontend()?;
            self.server.write(&message.bytes)?;
            if matches!(message.kind, Frontend::CopyDone | Frontend::CopyFail) {
                return Ok(());
            }
        }
    }
}

/// The test that a session belongs to: its corpus, and what it calls itself.
pub fn test_of(corpus: &str, parameters: &StartupParameters) -> String {
    let name = parameters.get("application_name").unwrap_or_default();
    format!("{corpus}/{}", name.trim_start_matches("pg_regress/"))
}
