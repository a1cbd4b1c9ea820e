//! The table that the suite prints.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
};

use tidegate_tests::Version;

use crate::cells::{End, Sent};

/// Gates at a time.
const AT_ONCE: usize = 4;

/// Plays every fault, several at a time, and yields the table of them all.
pub(crate) fn play_all<F: Send + Sync>(
    faults: impl IntoIterator<Item = (String, F)>,
    play: impl Fn(&str, &F, &mut Table) + Sync,
) -> Table {
    let faults: Vec<_> = faults.into_iter().collect();
    let queue = Mutex::new(faults.iter());
    let table = Mutex::new(Table::default());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, fault)) = queue.lock().unwrap().next() else {
                        return;
                    };
                    let mut rows = Table::default();
                    let played = whole(|| play(name, fault, &mut rows));
                    if let Err(error) = played {
                        rows.fail(name, error);
                    }
                    table.lock().unwrap().append(rows);
                }
            });
        }
    });
    table.into_inner().unwrap()
}

/// What a part of a test comes to; a panic is an error of this part only.
pub(crate) fn whole<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}

/// What clients got, by fault and packet.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(String, Row)>,
    failures: Vec<String>,
}

/// By the place of what was sent in [`Sent::ALL`].
type Row = BTreeMap<usize, Vec<String>>;

impl Table {
    /// Notes a cell. `Err`: what went wrong besides.
    pub(crate) fn note(
        &mut self,
        fault: &str,
        (sent, version, end): (Sent, Version, End),
        got: Result<String, String>,
    ) {
        let due = end.row(sent, version);
        let place = format!("{fault}: {} {version:?}", sent.title());
        let text = match got {
            Ok(got) => {
                if got != due {
                    self.failures.push(format!("{place}: {got}, not {due}"));
                }
                got
            }
            Err(error) => {
                self.failures.push(format!("{place}: {error}"));
                "!".to_owned()
            }
        };
        let index = match self.rows.iter().position(|(name, _)| name == fault) {
            Some(index) => index,
            None => {
                self.rows.push((fault.to_owned(), Row::new()));
                self.rows.len() - 1
            }
        };
        let column = Sent::ALL.iter().position(|it| *it == sent).unwrap_or(0);
        self.rows[index].1.entry(column).or_default().push(text);
    }

    /// Notes something that went wrong for a whole fault.
    pub(crate) fn fail(&mut self, fault: &str, error: impl Into<String>) {
        self.failures.push(format!("{fault}: {}", error.into()));
    }

    /// Adds the rows of another.
    fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.failures.extend(other.failures);
    }

    /// Prints it, and fails if anything in it is not as it should be.
    #[track_caller]
    pub(crate) fn finish(mut self, title: &str) {
        self.rows.sort();
        let mut text = format!("\n{title} (MQTT 3.1 / 3.1.1 / 5; one word: the same in all)\n");
        let mut cells = 0;
        for (fault, row) in &self.rows {
            let _ = writeln!(text, "{fault}");
            for (column, got) in row {
                cells += got.len();
                let is_same = got.iter().all(|it| it == &got[0]);
                let got = if is_same { &got[..1] } else { &got[..] };
                let name = Sent::ALL[*column].title();
                let _ = writeln!(text, "    {name:<10} {}", got.join(" / "));
            }
        }
        let failed = self.failures.len();
        println!("{text}{cells} cells, {failed} not as they should be");
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
    }
}
