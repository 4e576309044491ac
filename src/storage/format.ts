// The version of the format in which a directory is written, and what happens to a directory of another version.

import { OTHER_VERSION } from '../bytes/index.ts'
import { StorageRefusedError } from './errors.ts'

/**
 * The format of everything in the directory, including the rows of the state machine, and of backups. It is raised when
 * a layout or the meaning of an entry changes in a way that another version of the program would misread.
 */
export const FORMAT_VERSION = 2

/** Throws `StorageRefusedError` for another format. `what`: the directory, or the record. */
export function refuseOtherFormat(what: string, version: number): void {
  if (version === FORMAT_VERSION) return
  throw new StorageRefusedError(`${what} ${otherFormatText(version)}. Nothing was changed.`)
}

/** Refusal of data of another format, with the next step: a sentence without its subject and its full stop. */
export const otherFormatText = (version: number): string =>
  version < FORMAT_VERSION
    ? `has format ${version}, of a build before 0.1.0, and this ${OTHER_VERSION} reads format ${FORMAT_VERSION}: ` +
      'start the build that wrote it, save the keys with quorate export, and import them into a new cluster'
    : `has format ${version}, of a newer ${OTHER_VERSION}, and this one reads format ${FORMAT_VERSION}: ` +
      'start the version that wrote it'
