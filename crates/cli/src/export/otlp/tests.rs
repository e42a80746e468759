use super::super::tests::exported;
use super::json::spans_of;

#[test]
fn each_line_is_a_request_and_each_connection_a_trace() {
    let text = String::from_utf8(exported("otlp", false)).unwrap();
    let csv = String::from_utf8(exported("csv", true)).unwrap();
    let connections = csv.lines().count() - 1;
    assert!(connections > 2);
    for line in text.lines() {
        assert!(line.starts_with("{\"resourceSpans\":[{\"resource\":") && line.ends_with("\"}]}"), "{line}");
    }
    assert_eq!(text.matches("sockshim.verdict").count(), connections);
    let (spans, inner) = (spans_of(&text) as usize, text.matches("\"parentSpanId\"").count());
    assert!(inner > connections, "{text}");
    assert_eq!(spans - inner, connections);
    // Whoever exports it again gets the same ids.
    assert_eq!(String::from_utf8(exported("otlp", false)).unwrap(), text);
}
