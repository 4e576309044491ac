// Durability: keeps what one replica has promised through crashes, and never presents incomplete data as complete.
//
// What is stored. The log; the hard state (term, vote, commit); the rows of the state machine, with one record of the
// index that they correspond to. Each replica has one LevelDB. keys.ts lists the keys; log.ts, rows.ts and records.ts
// define the layouts.
//
// How it is written (store.ts). One batch at a time, each synced: new entries packed into one record, the hard state,
// the rows applied since the last batch, and a meta record at the end. So log and applied state become durable together
// and in order, for one fsync. What arrives while a batch is being written joins the next one, as far as it fits
// (batches.ts), so that making a batch never takes long. Applied rows are visible at once, in layers over the database
// (overlay.ts). A scan of rows (row-scan.ts) reads an iterator of the database and the layers of the same instant.
//
// What is kept in memory. The heads of rows changed lately (row-heads.ts), and a filter of rows that do not exist
// (row-filter.ts), because every entry needs the row that it is about to change.
//
// What is not trusted. LevelDB's recovery: it drops what it cannot read without an error, and deletes the evidence. So
// the files are read and judged here before LevelDB may open them (verify.ts, with the formats in leveldb-log.ts and
// leveldb-manifest.ts), against a side file that records how far the database had come (watermark.ts). If LevelDB then
// still skips a file because it could not open or read it, that file is put back (leveldb-recovery.ts). LevelDB's
// tables: it does not look at their checksums. So every record and row carries a CRC, the meta record must be the last
// thing written, the log must have no gaps, and an incremental hash over all rows is compared between replicas and by a
// slow scrub, which follows the writes of the meantime (scrub.ts). And storage itself after an error: the first error
// of any kind is final (first-error.ts), since after a failed write LevelDB acknowledges writes that it then loses.
//
// Snapshots are pages of a scan (snapshot-source.ts). A received one fills a separate generation of rows
// (staged-snapshot.ts), and one batch makes that generation the state. Rows of old generations are deleted in slices
// (garbage.ts). When the disk has little room, the space of deleted data is freed piece by piece (compaction.ts).
//
// The store uses LevelDB through one small interface (engine.ts), and the simulator runs it on another engine. What is
// proved there about the log, the layers, generations and batches holds for LevelDB as far as LevelDB writes a synced
// batch whole or not at all.
//
// If other replicas know that this one has lost durable state, it is marked and never opened again (quarantine.ts).
//
// Limits. It repairs nothing: a replica whose data may be damaged is replaced by a new one. It does not notice that
// acknowledged writes are missing if the side file was cut off with them, or is an old one; other replicas remember
// enough to notice. A damaged table that hides a row or brings back an older one is found by the scrub or by the
// comparison with other replicas, not by the read that meets it; and LevelDB may abort the process over such a table. A
// write that fails just as LevelDB records a compaction may leave a directory that is refused although nothing was
// lost: if the process ends before it has noted the failure in the side file, or the power fails before the note
// reaches the disk. If the last frames of an append are damaged, that cannot always be told from a power cut on a file
// system that writes out of order. Such a directory is refused; --discard-suspect-tail overrides this and is safe for a
// minority of the replicas only. The code is written for Linux with ext4, XFS or btrfs: an append never exposes length
// without data, fdatasync of a new file keeps its name, and changes of one directory become durable in the order made.

export { costOf, cut, endAfter } from './batches.ts'
export {
  CorruptionError,
  InvariantError,
  isDiskFull,
  rejoinAdvice,
  ScanEndedError,
  StorageClosedError,
  StorageFailedError,
  StorageInUseError,
  StorageRefusedError,
  UnfitReplicaError,
} from './errors.ts'
export type { InitialState } from './format.ts'
export { type DirectoryContent, inspectDirectory } from './identity.ts'
export { type LevelLimits, levelLimits } from './level-engine.ts'
export { formatStorage, isInUse, type OpenOptions, openStorage } from './open.ts'
export { FORMAT_VERSION } from './records.ts'
export { SCRUB_SLICE, Scrub } from './scrub.ts'
export type {
  AppliedRecord,
  BatchLimits,
  Done,
  Identity,
  PageLimits,
  Range,
  RowScan,
  SnapshotSink,
  SnapshotSource,
  Storage,
  StorageBatch,
  StoredRow,
} from './types.ts'
