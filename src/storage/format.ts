// The version of the format in which a directory is written, and what happens to a directory of another version.

import { StorageRefusedError } from './errors.ts'

/**
 * The format of everything in the directory, including the rows of the state machine, and of backups. It is raised when
 * a layout or the meaning of an entry changes in a way that another version of the program would misread.
 */
export const FORMAT_VERSION = 1

/** Throws `StorageRefusedError` for another format. */
export function refuseOtherFormat(version: number): void {
  if (version === FORMAT_VERSION) return
  throw new StorageRefusedError(
    `The data was written in format ${version} by another version of quorate; this one reads format ${FORMAT_VERSION}. ` +
      'Start the version that wrote it. Nothing was changed.',
  )
}
