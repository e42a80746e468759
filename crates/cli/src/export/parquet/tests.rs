use super::super::tests::exported;
use super::*;
use table::is_number;

#[test]
fn columns_have_the_type_that_their_fields_have() {
    for (connections, keys) in [(false, keys::call::ALL), (true, keys::connection::ALL)] {
        let lines = String::from_utf8(exported("jsonl", connections)).unwrap();
        let kind = if connections { "{\"type\":\"connection\"" } else { "{\"type\":\"call\"" };
        let mut seen = 0;
        for line in lines.lines().filter(|line| line.starts_with(kind)) {
            for key in keys {
                let Some((_, value)) = line.split_once(key.json) else { continue };
                seen += 1;
                // Times are text there because of what a double can hold.
                let number = !value.starts_with(['"', '[']) || key.name.starts_with("ts");
                assert_eq!(is_number(key.name), number, "{}: {value}", key.name);
            }
        }
        assert!(seen > 50, "{seen}");
    }
}

#[test]
fn a_file_begins_and_ends_as_parquet_does() {
    for connections in [false, true] {
        let bytes = exported("parquet", connections);
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1") && bytes.len() > 1000);
        // Payload is asked for, or it is not there.
        assert!(!bytes.windows(7).any(|window| window == b"payload"));
    }
}
