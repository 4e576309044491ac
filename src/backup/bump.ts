// How many revisions later a restored store begins.

/** More than a store changes in the hours since its last backup: a store of the fastest disks needs five hours. */
export const BUMP_DEFAULT = 1_000_000_000
/** More revisions than a row of events has: the row before the gap is never continued. */
export const BUMP_MIN = 1000
export const BUMP_MAX = 2 ** 40
