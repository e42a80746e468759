//! What is done and said when a run is over.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::Result;
use sockshim_format::trace::End;

use super::{Session, say};
use crate::tls_keys::TlsKeys;
use crate::verify::{self, Verifier};
use crate::views::{count, unseen};
use crate::{out, palette, room, watch};

impl Session {
    /// The last words: the rest of the records, the connections, what was lost. Whether the kernel
    /// agrees with the trace, if it was asked.
    pub(super) fn end(mut self: Box<Self>, status: ExitStatus) -> Result<bool> {
        self.pass(true)?;
        self.flow.finish();
        self.tell();
        self.model.finish(self.region.alive().is_empty());
        let (lost, lost_extensions) = self.region.lost();
        let left_out = self.region.left_out();
        self.model.lost_in_all(lost + lost_extensions);
        self.model.left_out_in_all(left_out);
        let notes = self.watch.notes();
        let notes: Vec<(&str, &str)> = notes.iter().map(|(key, value)| (*key, &**value)).collect();
        watch::tell(&mut self.model, notes.iter().copied());
        if let Some(text) = self.stream.take().and_then(|stream| stream.end(&self.model, lost)) {
            say(palette::ERROR, &text);
        }
        if let Some(live) = &mut self.live {
            let _ = live.end(&mut self.out, &self.model, self.calls).and_then(|()| self.out.flush());
        }
        if self.region.attached() == 0 {
            say(palette::WARNING, "the program never loaded the shim, so nothing of it was seen");
        }
        if !self.region_path.exists() {
            let text = format!(
                "{} was removed while the program ran: what it executed after that was not seen",
                self.region_path.display()
            );
            say(palette::WARNING, &text);
        }
        for text in unseen::all_not_followed(&self.model) {
            say(palette::WARNING, &text);
        }
        if lost > 0 {
            let text = match self.region.extend_error() {
                None => format!("{lost} calls were lost: give them more room with --region-size"),
                Some(error) => format!(
                    "{lost} calls were lost: {} could not grow ({error}); make room there, or set TMPDIR",
                    self.region_path.display()
                ),
            };
            say(palette::WARNING, &text);
        }
        if left_out > 0 && self.live.is_some() {
            say(palette::FAINT, &format!("{} left out, as a filter of the program asked", count(left_out, "call")));
        }
        if let Some(lost) = self.keys.as_ref().map(TlsKeys::lost).filter(|lost| *lost > 0) {
            say(palette::WARNING, &format!("{} lost", count(lost.into(), "line with a TLS key")));
        }
        let point = self.region.calibrate();
        let comparison = self.verifier.take().map(Verifier::compare).transpose();
        if let Some((mut writer, path)) = self.trace.take() {
            let end = End {
                lost,
                lost_extensions,
                wait_status: status.into_raw(),
                processes: self.region.attached(),
                left_out,
            };
            let (unwritten, overwritten, files) = (writer.unwritten(), writer.overwritten(), writer.files());
            let audit = comparison.as_ref().ok().and_then(Option::as_ref);
            let audited = audit.map_or(Ok(()), |comparison| writer.audit(&comparison.audit));
            let noted = audited.and_then(|()| writer.clock(point)).and_then(|()| writer.notes(&notes));
            let result = noted.and_then(|()| writer.finish(&end));
            if let Some(error) = self.trace_error.take().or(result.err()) {
                let mut text = format!("the trace {} is not whole: {error}", path.display());
                if unwritten > 0 {
                    text += &format!("; {unwritten} calls are missing in it");
                }
                say(palette::ERROR, &text);
            } else if self.live.is_some() {
                say(palette::FAINT, &kept(&path, overwritten, files));
            }
        }
        self.region.close();
        room::remove(&self.region_path);
        let quiet = self.live.is_none();
        self.leave();
        let Some(comparison) = comparison? else { return Ok(true) };
        let mut out = out::stderr();
        let _ = verify::report::print(&mut out, &comparison, quiet).and_then(|()| out.flush());
        Ok(comparison.audit.agrees())
    }

    /// Takes away what would outlast this process, and leaves the rest to its end. To unmap the region before interrupts the
    /// processor that the program was started on, which takes a twentieth of a short run.
    fn leave(mut self: Box<Self>) {
        (self.door, self.keys) = (None, None);
        std::mem::forget(self);
    }
}

/// Where the trace is, and how much of it.
fn kept(path: &Path, overwritten: u64, files: usize) -> String {
    let path = path.display();
    match (overwritten, files) {
        (0, 1) => format!("trace kept: sockshim report {path}"),
        (0, files) => format!("trace kept in {files} files: sockshim report {path}*"),
        (calls, _) => {
            format!(
                "the newest of the trace kept, {} overwritten: sockshim report {path}",
                count(calls, "earlier call")
            )
        }
    }
}
