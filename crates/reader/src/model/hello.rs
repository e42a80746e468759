//! The two messages of a TLS handshake that are never encrypted (RFC 8446, 4.1). Either may be cut anywhere: what
//! stands in front of the cut is read.

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// Protocols of an offer that are kept.
const MOST_PROTOCOLS: usize = 8;

/// What a client begins with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub server_name: Option<String>,
    pub protocols: Vec<String>,
}

/// What a server answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub version: Option<u16>,
    pub protocol: Option<String>,
}

/// Bytes from which fields are taken, until there are no more.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, the greatest first.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What follows its own length of so many bytes, or what is there of it.
    fn vector(&mut self, length_bytes: usize) -> Option<Bytes<'a>> {
        let len = self.number(length_bytes)?.min(self.0.len());
        self.take(len).map(Bytes)
    }

    /// Likewise, but nothing if it is cut.
    fn whole(&mut self, length_bytes: usize) -> Option<Bytes<'a>> {
        let len = self.number(length_bytes)?;
        self.take(len).map(Bytes)
    }

    fn extension(&mut self) -> Option<(u16, Bytes<'a>)> {
        let kind = self.number(2)? as u16;
        Some((kind, self.whole(2)?))
    }

    /// A name as people may read it: of signs that no terminal minds.
    fn name(self) -> Option<String> {
        let is_name = !self.0.is_empty() && self.0.iter().all(u8::is_ascii_graphic);
        is_name.then(|| String::from_utf8_lossy(self.0).into_owned())
    }
}

/// What both begin with: kind, length, version, random, session. Returns the version and what follows.
fn begin(message: &[u8]) -> Option<(u16, Bytes<'_>)> {
    let mut message = Bytes(message);
    message.take(1)?;
    let mut body = message.vector(3)?;
    let version = body.number(2)? as u16;
    body.take(32)?;
    body.whole(1)?;
    Some((version, body))
}

impl ClientHello {
    pub fn read(message: &[u8]) -> ClientHello {
        let mut hello = ClientHello::default();
        let _ = hello.fill(message);
        hello
    }

    fn fill(&mut self, message: &[u8]) -> Option<()> {
        let (_, mut body) = begin(message)?;
        let (_ciphers, _compressions) = (body.whole(2)?, body.whole(1)?);
        let mut extensions = body.vector(2)?;
        while let Some((kind, mut value)) = extensions.extension() {
            match kind {
                SERVER_NAME => {
                    let mut names = value.whole(2)?;
                    // The only kind of name there is: a host's.
                    if names.number(1)? == 0 {
                        self.server_name = names.whole(2)?.name();
                    }
                }
                ALPN => {
                    let mut names = value.whole(2)?;
                    while let Some(name) = names.whole(1).filter(|_| self.protocols.len() < MOST_PROTOCOLS) {
                        self.protocols.extend(name.name());
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

impl ServerHello {
    pub fn read(message: &[u8]) -> ServerHello {
        let mut hello = ServerHello::default();
        let _ = hello.fill(message);
        hello
    }

    fn fill(&mut self, message: &[u8]) -> Option<()> {
        let (version, mut body) = begin(message)?;
        let (_cipher, _compression) = (body.take(2)?, body.take(1)?);
        let mut extensions = body.vector(2).unwrap_or(Bytes(&[]));
        let mut newer = None;
        while let Some((kind, mut value)) = extensions.extension() {
            match kind {
                SUPPORTED_VERSIONS => newer = value.number(2),
                ALPN => self.protocol = value.whole(2)?.whole(1)?.name(),
                _ => {}
            }
        }
        // Since TLS 1.3 the version stands in an extension, and the old place says 1.2. If extensions were cut, it
        // may be either.
        let message_len = Bytes(message.get(1..)?).number(3)?;
        let is_whole = message.len() >= message_len.saturating_add(4);
        self.version = newer.map(|version| version as u16).or(is_whole.then_some(version));
        Some(())
    }
}
