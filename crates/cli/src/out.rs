//! Text for people, with colors where they are wanted, in few writes.

use std::io::{self, BufWriter, Write};

use anstream::AutoStream;
use anstream::stream::RawStream;

/// Where a view goes.
pub type Out = BufWriter<AutoStream<Box<dyn Write>>>;

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

/// Buffered twice: what takes the colors out costs something each time that it is asked, and writes what lies
/// between two colors on its own.
fn buffered(stream: impl RawStream + 'static) -> Out {
    let choice = AutoStream::choice(&stream);
    let below: Box<dyn Write> = Box::new(BufWriter::with_capacity(PIECE, stream));
    BufWriter::new(AutoStream::new(below, choice))
}
