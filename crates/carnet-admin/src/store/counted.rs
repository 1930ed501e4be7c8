//! The part of the store that keeps what has been used of limits.

use std::sync::Arc;

use carnet_limits::{Counted, Measure, Window};
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::{Store, StoreError};

/// What was used so long ago counts for nothing any more: twice the longest window.
const COUNTED_FOR: SignedDuration = SignedDuration::from_hours(2 * 31 * 24);

impl Store {
    /// What has been used of limits. What a program of another version wrote and this one cannot read is left out.
    ///
    /// # Errors
    /// What the database says.
    pub fn counted(&self) -> Result<Vec<Counted>, StoreError> {
        let connection = self.connection();
        let mut select = connection
            .prepare("SELECT name, measure, span, who, start, used, before FROM counted")?;
        let rows = select.query_map([], |row| {
            let text = |name| row.get::<_, String>(name);
            let number = |name| row.get::<_, i64>(name).map(i64::unsigned_abs);
            let (measure, window) = (text("measure")?, text("span")?);
            let measure = Measure::ALL
                .into_iter()
                .find(|known| known.as_str() == measure);
            let read = measure.zip(window.parse::<Window>().ok());
            let (name, who): (Arc<str>, Arc<str>) = (text("name")?.into(), text("who")?.into());
            let (start, used, before) = (row.get("start")?, number("used")?, number("before")?);
            Ok(read.map(|(measure, window)| Counted {
                limit: name,
                measure,
                window,
                who,
                start,
                used,
                before,
            }))
        })?;
        let all = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// Write down how counters stand, each over what was written of it before.
    ///
    /// # Errors
    /// What the database says; then nothing of it is written.
    pub fn note_counted<'c>(
        &self,
        counted: impl IntoIterator<Item = &'c Counted>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO counted (name, measure, span, who, start, used, before)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            for one in counted {
                insert.execute(params![
                    &*one.limit,
                    one.measure.as_str(),
                    one.window.to_string(),
                    &*one.who,
                    one.start,
                    number(one.used),
                    number(one.before),
                ])?;
            }
            let since = now.saturating_sub(COUNTED_FOR).unwrap_or(Timestamp::MIN);
            let mut old = transaction.prepare_cached("DELETE FROM counted WHERE start < ?1")?;
            old.execute(params![since.as_second()])?;
        }
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(who: &str, start: i64, used: u64) -> Counted {
        Counted {
            limit: "daily".into(),
            measure: Measure::Requests,
            window: Window::Sliding(60),
            who: who.into(),
            start,
            used,
            before: 3,
        }
    }

    #[test]
    fn counters_come_back_as_they_last_stood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carnet.db");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = now.as_second();
        let store = Store::open(&path).unwrap();
        let long_ago = at - 63 * 24 * 3600;
        let first = [
            counted("a", at, 1),
            counted("b", at, 7),
            counted("c", long_ago, 1),
        ];
        store.note_counted(&first, now).unwrap();
        store
            .note_counted(&[counted("a", at, u64::MAX)], now)
            .unwrap();
        drop(store);
        let mut all = Store::open(&path).unwrap().counted().unwrap();
        all.sort_by(|one, other| one.who.cmp(&other.who));
        assert_eq!(
            all,
            [
                counted("a", at, i64::MAX.unsigned_abs()),
                counted("b", at, 7)
            ]
        );
    }
}
