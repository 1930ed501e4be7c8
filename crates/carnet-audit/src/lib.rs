//! Append records to a tamper-evident log, and verify one offline.
