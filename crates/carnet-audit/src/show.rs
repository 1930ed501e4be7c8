//! Read a log: newest entries first, one record by its id, a decision document by its name.
//!
//! Needs no key and proves nothing; that is `verify`'s job. Works beside a running server, and shows
//! entries that are not yet under a checkpoint too.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::ReadError;
use crate::frame::{FRAME_HEADER, FrameKind};
use crate::journal::{JOURNAL, segment_name};
use crate::key::unchecked;
use crate::limits::CHECKPOINT_BYTES_MAX;
use crate::record::{Leaf, Record};
use crate::replay::segments;
use crate::scan::scan;
use crate::store::read_bounded;
use crate::tiles::{CHECKPOINT, TileKind, TileName, entries};
use crate::tree::TILE_WIDTH;

/// Tries to get a consistent view while a server moves entries from journal to tree.
const TRIES: usize = 20;
/// An id stands near the start of a leaf; what is searched for it.
const ID_WITHIN_BYTES: usize = 64;

/// A log that is being read.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
    /// Entries under the checkpoint.
    signed: u64,
    /// Where the entries behind it lie.
    pending: Vec<Pending>,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the tree.
    pub index: u64,
    /// Whether a checkpoint covers it.
    pub signed: bool,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub leaf: Leaf,
}

/// A record with the decision that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the tree.
    pub index: u64,
    /// Whether a checkpoint covers it.
    pub signed: bool,
    /// The record.
    pub record: Record,
    /// The decision document, if the record names one and the log has it.
    pub document: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    segment: u64,
    offset: u64,
    bytes: usize,
}

impl Reader {
    /// Look at the log in `dir` as it is now.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        let mut tries = TRIES;
        loop {
            let signed = checkpoint_size(dir)?;
            tries -= 1;
            match pending(dir, signed)? {
                Some(pending) => {
                    return Ok(Self {
                        root: dir.to_owned(),
                        signed,
                        pending,
                    });
                }
                // Segments went away since the checkpoint was read, so there is a newer one.
                None if tries > 0 => {}
                None => {
                    let reason = "the journal begins behind the checkpoint's last entry".to_owned();
                    return Err(ReadError::Damaged {
                        file: dir.join(JOURNAL),
                        reason,
                    });
                }
            }
        }
    }

    /// Entries, signed or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.signed + self.pending.len() as u64
    }

    /// All entries, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = Result<Entry, ReadError>> + '_ {
        self.raw(self.size()).map(|raw| {
            let (index, bytes) = raw?;
            let leaf = self.parse(index, &bytes)?;
            Ok(Entry {
                index,
                signed: index < self.signed,
                bytes,
                leaf,
            })
        })
    }

    /// The record whose id begins with `prefix`, and its decision.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one and none with exactly this id; or when the log cannot be read.
    pub fn find(&self, prefix: &str) -> Result<Found, ReadError> {
        let mut found: Option<(u64, Box<Record>)> = None;
        for raw in self.raw(self.size()) {
            let (index, bytes) = raw?;
            if !id_begins(&bytes, prefix) {
                continue;
            }
            let Leaf::Record(record) = self.parse(index, &bytes)? else {
                continue;
            };
            if &*record.id == prefix {
                found = Some((index, record));
                break;
            }
            if found
                .as_ref()
                .is_some_and(|(_, other)| other.id != record.id)
            {
                return Err(ReadError::Ambiguous {
                    prefix: prefix.to_owned(),
                });
            }
            found.get_or_insert((index, record));
        }
        let (index, record) = found.ok_or_else(|| ReadError::NotFound {
            prefix: prefix.to_owned(),
        })?;
        let document = match &record.decision_doc {
            Some(id) => self.document(id, index)?,
            None => None,
        };
        Ok(Found {
            index,
            signed: index < self.signed,
            record: *record,
            document,
        })
    }

    /// The decision document of this name, looked for backwards from an entry.
    fn document(&self, id: &str, before: u64) -> Result<Option<String>, ReadError> {
        let mut later_parts = Vec::new();
        for raw in self.raw(before) {
            let (index, bytes) = raw?;
            if !id_begins(&bytes, id) {
                continue;
            }
            let Leaf::Document(part) = self.parse(index, &bytes)? else {
                continue;
            };
            if &*part.id != id {
                continue;
            }
            let number = part.part;
            later_parts.push(part.text);
            if number == 1 {
                later_parts.reverse();
                return Ok(Some(later_parts.concat()));
            }
        }
        Ok(None)
    }

    fn raw(&self, before: u64) -> RawEntries<'_> {
        RawEntries {
            reader: self,
            next: before,
            bundle: None,
            failed: false,
        }
    }

    fn parse(&self, index: u64, bytes: &[u8]) -> Result<Leaf, ReadError> {
        Leaf::parse(bytes).map_err(|error| {
            let reason = format!("entry {index} is no leaf: {error}");
            ReadError::Damaged {
                file: self.root.clone(),
                reason,
            }
        })
    }

    fn pending_entry(&self, place: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(pending) = self.pending.get(place) else {
            return Ok(None);
        };
        let path = self.root.join(segment_name(pending.segment));
        let mut bytes = vec![0; pending.bytes];
        match File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, pending.offset)) {
            Ok(()) => Ok(Some(bytes)),
            // It went into the tree meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReadError::io(&path)(error)),
        }
    }

    fn bundle(&self, n: u64) -> Result<Bundle, ReadError> {
        for _ in 0..TRIES {
            if let Some(bundle) = self.bundle_now(n)? {
                return Ok(bundle);
            }
        }
        let file = self
            .root
            .join(TileName::full(TileKind::Entries, n).to_string());
        Err(ReadError::Damaged {
            file,
            reason: "missing, and there is no partial one".to_owned(),
        })
    }

    /// The full bundle, or else the widest partial one, which may be superseded at any time.
    fn bundle_now(&self, n: u64) -> Result<Option<Bundle>, ReadError> {
        let full = self
            .root
            .join(TileName::full(TileKind::Entries, n).to_string());
        let mut names = vec![(TILE_WIDTH, full.clone())];
        let folder = full.with_extension("p");
        if let Ok(files) = fs::read_dir(&folder) {
            let widths = files
                .flatten()
                .filter_map(|file| file.file_name().to_str()?.parse::<usize>().ok());
            names.extend(widths.map(|width| (width, folder.join(width.to_string()))));
        }
        names.sort_unstable_by_key(|(width, _)| std::cmp::Reverse(*width));
        for (width, file) in names {
            match fs::read(&file) {
                Ok(bytes) => return Bundle::new(n, bytes, width, &file).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ReadError::io(&file)(error)),
            }
        }
        Ok(None)
    }
}

#[derive(Debug)]
struct Bundle {
    n: u64,
    bytes: Vec<u8>,
    entries: Vec<Range<usize>>,
}

impl Bundle {
    fn new(n: u64, bytes: Vec<u8>, width: usize, file: &Path) -> Result<Self, ReadError> {
        let damaged = || ReadError::Damaged {
            file: file.to_owned(),
            reason: format!("not a bundle of {width} entries"),
        };
        let mut end = 0;
        let lengths = entries(&bytes, width)
            .ok_or_else(damaged)?
            .into_iter()
            .map(<[u8]>::len);
        let entries = lengths.map(|length| {
            let start = end + 2;
            end = start + length;
            start..end
        });
        Ok(Self {
            n,
            entries: entries.collect(),
            bytes,
        })
    }

    fn entry(&self, place: usize) -> Option<&[u8]> {
        self.bytes.get(self.entries.get(place)?.clone())
    }
}

struct RawEntries<'a> {
    reader: &'a Reader,
    /// One more than the entry that comes next.
    next: u64,
    bundle: Option<Bundle>,
    failed: bool,
}

impl RawEntries<'_> {
    fn read(&mut self, index: u64) -> Result<Vec<u8>, ReadError> {
        if let Some(place) = index.checked_sub(self.reader.signed)
            && let Some(bytes) = self
                .reader
                .pending_entry(usize::try_from(place).unwrap_or(usize::MAX))?
        {
            return Ok(bytes);
        }
        let n = index / TILE_WIDTH as u64;
        let place = (index % TILE_WIDTH as u64) as usize;
        if self
            .bundle
            .as_ref()
            .is_none_or(|bundle| bundle.n != n || bundle.entries.len() <= place)
        {
            self.bundle = Some(self.reader.bundle(n)?);
        }
        let entry = self
            .bundle
            .as_ref()
            .and_then(|bundle| bundle.entry(place))
            .map(<[u8]>::to_vec);
        entry.ok_or_else(|| ReadError::Damaged {
            file: self
                .reader
                .root
                .join(TileName::full(TileKind::Entries, n).to_string()),
            reason: format!("entry {index} is missing"),
        })
    }
}

impl Iterator for RawEntries<'_> {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let index = self.next.checked_sub(1)?;
        self.next = index;
        let entry = self.read(index);
        self.failed = entry.is_err();
        Some(entry.map(|bytes| (index, bytes)))
    }
}

/// Whether a leaf's id begins with a text that needs no escape; tells without parsing the whole.
fn id_begins(leaf: &[u8], prefix: &str) -> bool {
    const FIELD: &[u8] = br#","id":""#;
    let start = leaf
        .get(..ID_WITHIN_BYTES.min(leaf.len()))
        .unwrap_or_default();
    let at = start
        .windows(FIELD.len())
        .position(|window| window == FIELD);
    at.and_then(|at| leaf.get(at + FIELD.len()..))
        .is_some_and(|id| id.starts_with(prefix.as_bytes()))
}

fn checkpoint_size(root: &Path) -> Result<u64, ReadError> {
    let file = root.join(CHECKPOINT);
    let bytes = read_bounded(&file, CHECKPOINT_BYTES_MAX).map_err(ReadError::io(&file))?;
    let checkpoint = unchecked(&bytes).map_err(|error| ReadError::Damaged {
        file: file.clone(),
        reason: error.to_string(),
    })?;
    Ok(checkpoint.size())
}

/// Where entries from `signed` on lie in the journal, or `None` if the first of them are missing. Bad bytes end the
/// search quietly: a server may be writing them right now, and `verify` is there to judge them.
fn pending(root: &Path, signed: u64) -> Result<Option<Vec<Pending>>, ReadError> {
    let journal = root.join(JOURNAL);
    let numbers = match segments(root) {
        Ok(numbers) => numbers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
        Err(error) => return Err(ReadError::io(&journal)(error)),
    };
    // From the newest on: when a segment is in use, those before it do not change any more.
    let mut found: Vec<(u64, Pending)> = Vec::new();
    for segment in numbers.into_iter().rev() {
        let path = root.join(segment_name(segment));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(ReadError::io(&path)(error)),
        };
        let mut here = Vec::new();
        scan(&bytes, segment, None, false, |offset, frame| {
            if frame.head.kind == FrameKind::Leaf && frame.head.leaf >= signed {
                let (offset, bytes) = ((offset + FRAME_HEADER) as u64, frame.payload.len());
                here.push((
                    frame.head.leaf,
                    Pending {
                        segment,
                        offset,
                        bytes,
                    },
                ));
            }
        });
        found.extend(here.into_iter().rev());
    }
    found.reverse();
    let whole = found
        .iter()
        .zip(signed..)
        .all(|((leaf, _), expected)| *leaf == expected);
    Ok(whole.then(|| found.into_iter().map(|(_, pending)| pending).collect()))
}
