//! What a fault did, in words.

use super::What;
use crate::errno::errno_name;
use crate::line::Duration;
use crate::op::Op;
use crate::record::Injected;
use core::fmt;

/// `connect failed with ECONNREFUSED by rule 1`.
pub struct Told<'a> {
    /// The function.
    pub op: Option<Op>,
    /// What was done to it.
    pub injected: &'a Injected,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { rule, what, value, delay_ns } = *self.injected;
        write!(f, "{} ", self.op.map_or("a call", Op::name))?;
        let mut any = false;
        for (kind, word) in What::ALL {
            if !What(what).is(kind) {
                continue;
            }
            f.write_str(if any { ", " } else { "" })?;
            any = true;
            match kind {
                What::ERROR => match errno_name(value as u16) {
                    "" => write!(f, "failed with errno {value}")?,
                    name => write!(f, "failed with {name}")?,
                },
                What::VALUE => match (self.op.map(Op::base), value) {
                    (Some(Op::Read | Op::Recv | Op::Recvfrom | Op::Recvmsg | Op::Readv), 0) => {
                        f.write_str("found the end")?;
                    }
                    _ => write!(f, "answered {value}")?,
                },
                What::DELAY => write!(f, "delayed by {}", Duration(delay_ns))?,
                What::SHORT => write!(f, "cut to {value} bytes")?,
                What::REDIRECT => write!(f, "redirected to port {value}")?,
                What::SIGNAL => f.write_str("got a signal")?,
                _ => f.write_str(word)?,
            }
        }
        write!(f, " by rule {rule}")
    }
}
