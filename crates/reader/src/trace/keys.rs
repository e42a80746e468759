//! Session keys of TLS in a trace.

use super::Trace;
use crate::error::Error;
use sockshim_format::trace::BLOCK_KEYS;

/// A client's hello with its name has this many bytes at least, where one program writes it in one piece.
const LEAST_FOR_HANDSHAKES: u32 = 128;

impl Trace {
    /// Whether more was kept of what calls carried than a preview: enough to tell handshakes by.
    pub fn shows_handshakes(&self) -> bool {
        let kept = self.meta("snaplen").and_then(|bytes| bytes.parse::<u32>().ok());
        kept.is_some_and(|bytes| bytes >= LEAST_FOR_HANDSHAKES)
    }

    /// Hands on the session keys that `run --tls-keys` has collected, some lines of an NSS key log at a time: all of
    /// them may be more than memory. Not once records have been given, for then it reads from where they are.
    pub fn keys(&mut self, give: &mut impl FnMut(&[u8])) -> Result<(), Error> {
        if self.told {
            return Ok(());
        }
        for part in &mut self.parts {
            while let Some((block, payload)) = part.blocks.next(|kind| kind == BLOCK_KEYS)? {
                if block.kind == BLOCK_KEYS {
                    give(&payload);
                }
            }
            part.blocks.rewind();
        }
        Ok(())
    }
}
