//! Session keys of TLS in a trace.

use super::Trace;
use crate::error::Error;
use sockshim_format::trace::BLOCK_KEYS;

impl Trace {
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
