// Writes records as files below one directory, and never anywhere else. A key may come from an untrusted user, so it is
// checked before it becomes a path, and each directory of the path is checked before it is used. A record without a
// safe path is reported and left out.
//
// Not covered: a directory that is replaced by a symlink during the export; a file system that treats names as equal if
// they differ only in case or Unicode form.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs'
import { makeDirectories } from '../../files/durable.ts'
import { failureReason, unwritable } from '../../local/failure.ts'

const SLASH = Buffer.from('/')
const SEGMENT_BYTES_MAX = 255

type ExportResult =
  | { readonly kind: 'written' }
  /** A file with the same content existed. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly reason: string }

export class ExportDirectory {
  readonly #top: Buffer
  readonly #force: boolean
  /** Checked directories, by path relative to the top. */
  readonly #directories = new Set<string>()

  constructor(path: string, force: boolean) {
    makeDirectories(path)
    this.#top = Buffer.from(realpathSync(path))
    this.#force = force
  }

  write(key: Uint8Array, value: Uint8Array): ExportResult {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
    const unsafe = whyUnsafe(bytes)
    if (unsafe !== undefined) return refuseExport(unsafe)
    try {
      const blocked = this.#makeDirectories(bytes)
      return blocked === undefined ? this.#writeFile(this.#path(bytes), value) : refuseExport(blocked)
    } catch (error) {
      if (isFaultOfName(error)) return refuseExport(failureReason(error))
      throw unwritable(this.#path(bytes).toString(), error)
    }
  }

  #path(relative: Buffer): Buffer {
    return Buffer.concat([this.#top, SLASH, relative])
  }

  /** Makes or finds each directory. Returns a reason if something else is in its place. */
  #makeDirectories(key: Buffer): string | undefined {
    for (let at = key.indexOf(SLASH); at >= 0; at = key.indexOf(SLASH, at + 1)) {
      const relative = key.subarray(0, at)
      const name = relative.toString('latin1')
      if (this.#directories.has(name)) continue
      const path = this.#path(relative)
      const found = statIfExists(path)
      if (found === undefined) {
        // Throws if the path is too long, before any directory of it is made.
        statIfExists(this.#path(key))
        mkdirSync(path)
      } else if (!found.isDirectory()) {
        return `${relative} is ${found.isSymbolicLink() ? 'a symlink' : 'a file'} there, not a directory`
      }
      this.#directories.add(name)
    }
    return undefined
  }

  #writeFile(path: Buffer, value: Uint8Array): ExportResult {
    const found = statIfExists(path)
    if (found === undefined) {
      create(path, value)
      return { kind: 'written' }
    }
    if (found.isDirectory()) return refuseExport('a directory is there')
    if (!found.isFile())
      return refuseExport(found.isSymbolicLink() ? 'a symlink is there' : 'something else is there')
    if (found.size === value.length && readFileSync(path).equals(value)) return { kind: 'same' }
    if (!this.#force) return refuseExport('a file with other content is there; --force overwrites it')
    replace(path, value, found.mode & 0o777)
    return { kind: 'written' }
  }
}

/** Why a key cannot be a path below a directory; undefined if it can. */
function whyUnsafe(key: Buffer): string | undefined {
  if (key.includes(0)) return 'it contains NUL'
  if (key.indexOf(SLASH) === 0) return 'it is absolute'
  if (process.platform === 'win32' && /[\\:*?"<>|]/.test(key.toString('latin1'))) {
    return 'it has characters that a path must not have'
  }
  for (let from = 0; from <= key.length; ) {
    const slash = key.indexOf(SLASH, from)
    const to = slash < 0 ? key.length : slash
    const segment = key.subarray(from, to)
    if (segment.length === 0) return 'it has an empty segment'
    if (segment.equals(DOT) || segment.equals(DOTS)) return `it has the segment ${segment}`
    if (segment.length > SEGMENT_BYTES_MAX) return `it has a segment over ${SEGMENT_BYTES_MAX} bytes`
    from = to + 1
  }
  return undefined
}

const DOT = Buffer.from('.')
const DOTS = Buffer.from('..')

/** O_EXCL: nothing existing is opened, not even a dangling symlink. */
function create(path: Buffer, value: Uint8Array, mode?: number): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = openSync(path, flags, mode === undefined ? 0o666 : 0o600)
  try {
    if (mode !== undefined) fchmodSync(file, mode)
    let at = 0
    while (at < value.length) at += writeSync(file, value, at)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
}

/**
 * Writes a new file and renames it. So there is never half a file, and other hard links to the old file keep its
 * content. The permissions of the old file stay.
 */
function replace(path: Buffer, value: Uint8Array, mode: number): void {
  const directory = path.subarray(0, path.lastIndexOf(SLASH) + 1)
  const fresh = Buffer.concat([directory, Buffer.from(`.kv-export-${randomBytes(8).toString('hex')}`)])
  create(fresh, value, mode)
  try {
    renameSync(fresh, path)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw error
  }
}

function statIfExists(path: Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

const refuseExport = (reason: string): ExportResult => ({ kind: 'refused', reason })

/** A name that the file system refuses concerns one key. A full or failing disk ends the export. */
const FAULTS_OF_NAMES = new Set([
  'ENAMETOOLONG',
  'EINVAL',
  'EILSEQ',
  'EEXIST',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ELOOP',
])

function isFaultOfName(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && FAULTS_OF_NAMES.has(String(error.code))
}
