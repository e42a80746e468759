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
    let out: Box<dyn Write> = match colors(&stream) {
        true => Box::new(stream),
        false => Box::new(Plain { below: BufWriter::new(stream), strip: StripBytes::new(), colored: false }),
    };
    BufWriter::with_capacity(PIECE, out)
}

/// Takes the colors out of text that has any, which takes a look at each byte. The lines of calls, of which there
/// may be millions, are made without.
struct Plain<W: Write> {
    /// What lies between two colors would otherwise be written on its own.
    below: BufWriter<W>,
    strip: StripBytes,
    /// There was a color, of which the last one may not be whole yet.
    colored: bool,
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.colored |= text.contains(&0x1b);
        if !self.colored {
            return self.below.get_mut().write(text);
        }
        self.strip.strip_next(text).try_for_each(|piece| self.below.write_all(piece))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.flush()
    }
}
