//! Shell commands that give a file a content, whatever it is.

/// Bytes of one command: less than what a terminal multiplexer (16 KiB) and the kernel (128 KiB) take at once.
const MOST: usize = 8 << 10;

/// The commands, to be run in order. Each is one line of printable ASCII: nothing in it is a key of a line editor, a
/// delimiter or an expansion. To run all of them again does no harm.
pub(super) fn write(path: &str, content: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for byte in content.bytes() {
        let printed = escaped(byte);
        match pieces.last_mut() {
            Some(piece) if piece.len() + printed.len() <= MOST => piece.push_str(&printed),
            _ => pieces.push(printed),
        }
    }
    let path = path.replace('\'', "'\\''");
    let commands = pieces.iter().enumerate().map(|(index, piece)| {
        let into = if index == 0 { ">" } else { ">>" };
        format!("printf -- '{piece}' {into} '{path}'")
    });
    commands.collect()
}

/// A byte in a format of bash's `printf`.
fn escaped(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'%' => "%%".to_owned(),
        b' '..=b'~' if byte != b'\'' && byte != b'!' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}
