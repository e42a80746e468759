use std::io::Write;

use super::*;

const A: &str = "CLIENT_RANDOM 00aa 11bb";
const B: &str = "SERVER_TRAFFIC_SECRET_0 00aa 22cc";

fn begin(folder: &Path) -> (TlsKeys, PathBuf) {
    let keys = TlsKeys::begin(&folder.join("x.region")).unwrap();
    let of =
        |name: &str| keys.variables().iter().find(|(known, _)| known == name).map(|(_, value)| PathBuf::from(value));
    assert_eq!(of(VARIABLE), Some(folder.join("x.keys")));
    (keys, folder.join("x.keylog"))
}

/// Does what the library does.
fn put(keys: &TlsKeys, place: usize, line: &str) {
    let at = (SLOTS_OFFSET + place * SLOT_BYTES) as u64;
    keys.ring.write_all_at(line.as_bytes(), at + LINE_OFFSET as u64).unwrap();
    keys.ring.write_all_at(&(line.len() as u32).to_le_bytes(), at + 4).unwrap();
    keys.ring.write_all_at(&SLOT_THERE.to_le_bytes(), at).unwrap();
    keys.ring.write_all_at(&(place as u32 + 1).to_le_bytes(), NEXT_OFFSET as u64).unwrap();
}

#[test]
fn a_key_comes_once_by_whichever_way_and_is_wiped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keys, log) = begin(folder.path());
    put(&keys, 5, A);
    let mut file = OpenOptions::new().append(true).open(log).unwrap();
    // The second line is not whole yet.
    write!(file, "# a comment\n{A}\n{}", &B[..9]).unwrap();
    assert_eq!(keys.gather(false).unwrap(), format!("{A}\n"));
    writeln!(file, "{}", &B[9..]).unwrap();
    assert_eq!(keys.gather(false).unwrap(), format!("{B}\n"));
    assert_eq!(keys.gather(true).unwrap(), "");
    let ring = std::fs::read(folder.path().join("x.keys")).unwrap();
    assert!(ring[SLOTS_OFFSET..].iter().all(|byte| *byte == 0), "a key lies where it was collected");
}

#[test]
fn what_a_program_has_spoilt_is_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keys, _log) = begin(folder.path());
    for (place, line) in
        ["", "CLIENT_RANDOM 00aa", "CLIENT_RANDOM 00aa xx", "a b c d", "\u{7}X 00 00"].iter().enumerate()
    {
        put(&keys, place, line);
    }
    let at = (SLOTS_OFFSET + 9 * SLOT_BYTES) as u64;
    put(&keys, 9, A);
    keys.ring.write_all_at(&u32::MAX.to_le_bytes(), at + 4).unwrap();
    assert_eq!(keys.gather(true).unwrap(), "");
}

#[test]
fn the_files_are_the_owners_alone_and_go_away() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (keys, log) = begin(folder.path());
    for path in [&log, &folder.path().join("x.keys")] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(keys);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn node_keeps_its_options() {
    let log = Path::new("/x/y.keylog");
    let value = |theirs: Option<&str>| node_options(theirs.map(OsStr::new), log).map(|(_, value)| value);
    assert_eq!(value(None).unwrap(), "--tls-keylog=\"/x/y.keylog\"");
    assert_eq!(value(Some("--no-warnings")).unwrap(), "--no-warnings --tls-keylog=\"/x/y.keylog\"");
    assert_eq!(value(Some("--tls-keylog=z")), None);
}
