// The version of the format in which a directory is written, and what happens to a directory of another version.

import { StorageRefusedError } from './errors.ts'

/**
 * The format of everything in the directory, including the rows of the state machine. It is raised when a layout or the
 * meaning of an entry changes in a way that another version of the program would misread. 1 was in use before the first
 * release, and is not read.
 */
export const FORMAT_VERSION = 2

/** No older format can be read. */
export function refuseOtherFormat(version: number): void {
  if (version === FORMAT_VERSION) return
  const [by, remedy] =
    version > FORMAT_VERSION
      ? ['a newer quorate', 'Start the newer version again.']
      : ['a quorate from before the first release', 'Begin with an empty directory.']
  throw new StorageRefusedError(
    `The data was written in format ${version} by ${by}; this one reads format ${FORMAT_VERSION}. ${remedy} Nothing was changed.`,
  )
}
