// Durability: what one replica has promised, kept through crashes, and never passed off as whole when it is not.
//
// What is kept. The log; the hard state (term, vote, commit); the rows of the state machine with the one record that
// says as of which index they stand. One LevelDB per replica. What each key holds is in keys.ts; log.ts, rows.ts and
// records.ts say how it is laid out.
//
// How it is written (store.ts). One batch at a time, each synced: new entries packed into one record, the hard state,
// the rows applied since the last batch, and a meta record that closes it. So log and applied state become durable
// together and in order, for one fsync. What arrives while a batch is being written joins the next one, as far as there
// is room (batches.ts): making a batch never takes long. Rows that are applied are visible at once, in layers over the
// database (overlay.ts); a scan of rows (row-scan.ts) reads an iterator of the database and the layers of its instant.
//
// What it keeps in memory: of the rows changed lately the head (row-heads.ts), and which rows do not exist
// (row-filter.ts), since every entry asks what the row was that it is about to change.
//
// Whom it trusts. Not LevelDB's recovery: it drops what it cannot read without a word and deletes the evidence. So the
// files are read and judged here before LevelDB may open them (verify.ts, after its formats in leveldb-log.ts and
// leveldb-manifest.ts), against a side file that knows how far the database had come (watermark.ts). What LevelDB then
// skips all the same, since it could not open or read it, is put back (leveldb-recovery.ts). Not LevelDB's tables
// either, whose checksums it does not look at: every record and row carries its own CRC, the meta record must be the
// last thing written, the log must be one log without a gap, and an incremental hash over all rows is compared between
// replicas and with a slow scrub, which follows what is written meanwhile (scrub.ts). And not itself: the first error
// of any kind is final (first-error.ts), since after one that failed LevelDB acknowledges writes that it then loses.
//
// Snapshots are pages of a scan (snapshot-source.ts); received, they fill a generation of rows of their own
// (staged-snapshot.ts) that one batch makes the state. Rows of generations left behind go in slices (garbage.ts). What
// was deleted gives its room back piece by piece when the disk has little (compaction.ts).
//
// The store reaches LevelDB through one small interface (engine.ts), and the simulator runs it on another engine: what
// is proved there of the log, the layers, generations and batches holds for LevelDB as far as it writes a synced batch
// whole or not at all.
//
// A replica of which others know that it has lost what it promised is marked, and opened no more (quarantine.ts).
//
// What it does not do. It repairs nothing: a replica that cannot be vouched for is replaced by a fresh one. It cannot
// see acknowledged writes that were cut off together with the side file, or beyond an old one; the peers' memory can. A
// damaged table that hides a row or brings back an older one is found by the scrub or the comparison with other
// replicas, not by the read that meets it; and LevelDB may abort the process over one. A write that fails just as
// LevelDB records a compaction may leave a directory that is refused although nothing was lost, if the process ends
// before it has noted that in the side file, or the power fails before the note is written out. Damage of the frames
// that an append wrote last cannot always be told from a power cut on a file system that writes out of order: it is
// refused, and --discard-suspect-tail is for a minority of the replicas. Linux with ext4, XFS or btrfs is what this is
// written for: an append never exposes length without data, fdatasync of a new file keeps its name, and changes of one
// directory become durable in the order made.

export { costOf, cut, endAfter } from './batches.ts'
export {
  CorruptionError,
  InvariantError,
  isDiskFull,
  rejoinAdvice,
  ScanEndedError,
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
