//! Text for people, with colors where they are wanted, in few writes.

use std::io::{self, BufWriter, Write};

use anstream::adapter::StripBytes;
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

/// Where a view goes.
pub type Out = BufWriter<Box<dyn Write>>;

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

/// Standard output.
pub fn stdout() -> Out {
    buffered(io::stdout())
}

/// Standard error.
pub fn stderr() -> Out {
    buffered(io::stderr())
}

/// Whether colors are wanted there: they are taken out if not, which costs something where there are many.
pub fn colors(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

fn buffered(stream: impl RawStream + 'static) -> Out {
    let colors = colors(&stream);
    // Below it, because what takes the colors out writes what lies between two of them on its own.
    let below: Box<dyn Write> = Box::new(BufWriter::with_capacity(PIECE, stream));
    let out: Box<dyn Write> = match colors {
        true => below,
        false => Box::new(Plain { below, strip: StripBytes::new(), colored: false }),
    };
    BufWriter::new(out)
}

/// Takes the colors out of text that has any, which takes a look at each byte. The lines of calls, of which there
/// may be millions, are made without.
struct Plain {
    below: Box<dyn Write>,
    strip: StripBytes,
    /// There was a color, of which the last one may not be whole yet.
    colored: bool,
}

impl Write for Plain {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.colored |= text.contains(&0x1b);
        match self.colored {
            true => self.strip.strip_next(text).try_for_each(|piece| self.below.write_all(piece))?,
            false => self.below.write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.flush()
    }
}
