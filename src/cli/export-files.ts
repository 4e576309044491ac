// Records as files below one directory, and never anywhere else: a key is data of strangers, so it is checked before it
// becomes a path, and every directory on the way is looked at before it is used. What is no safe path, or in the way of
// one, is reported and left out.
//
// Not covered: somebody who replaces a directory by a symlink while we run; a file system for which names are one that
// differ only in case or in Unicode form.

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
import { reasonOf } from '../local/failure.ts'

const SLASH = Buffer.from('/')
const SEGMENT_BYTES_MAX = 255

export type Exported =
  | { readonly kind: 'written' }
  /** A file with this very content was there. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly reason: string }

export class ExportDirectory {
  readonly #top: Buffer
  readonly #force: boolean
  /** Known to be real directories, by path relative to the top. */
  readonly #directories = new Set<string>()

  constructor(path: string, force: boolean) {
    mkdirSync(path, { recursive: true })
    this.#top = Buffer.from(realpathSync(path))
    this.#force = force
  }

  write(key: Uint8Array, value: Uint8Array): Exported {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
    const unsafe = whyUnsafe(bytes)
    if (unsafe !== undefined) return refused(unsafe)
    try {
      const blocked = this.#makeDirectories(bytes)
      return blocked === undefined ? this.#writeFile(this.#path(bytes), value) : refused(blocked)
    } catch (error) {
      if (isFaultOfName(error)) return refused(reasonOf(error))
      throw error
    }
  }

  #path(relative: Buffer): Buffer {
    return Buffer.concat([this.#top, SLASH, relative])
  }

  /** Each one made or found; a reason when something else is there. */
  #makeDirectories(key: Buffer): string | undefined {
    for (let at = key.indexOf(SLASH); at >= 0; at = key.indexOf(SLASH, at + 1)) {
      const relative = key.subarray(0, at)
      const name = relative.toString('latin1')
      if (this.#directories.has(name)) continue
      const path = this.#path(relative)
      const found = statOf(path)
      if (found === undefined) {
        // Throws when the whole is longer than a path may be: no empty directories are left of it.
        statOf(this.#path(key))
        mkdirSync(path)
      } else if (!found.isDirectory()) {
        return `${relative} is ${found.isSymbolicLink() ? 'a symlink' : 'a file'} there, not a directory`
      }
      this.#directories.add(name)
    }
    return undefined
  }

  #writeFile(path: Buffer, value: Uint8Array): Exported {
    const found = statOf(path)
    if (found === undefined) {
      create(path, value)
      return { kind: 'written' }
    }
    if (found.isDirectory()) return refused('a directory is there')
    if (!found.isFile())
      return refused(found.isSymbolicLink() ? 'a symlink is there' : 'something else is there')
    if (found.size === value.length && readFileSync(path).equals(value)) return { kind: 'same' }
    if (!this.#force) return refused('a file with other content is there; --force overwrites it')
    replace(path, value, found.mode & 0o777)
    return { kind: 'written' }
  }
}

/** Why a key cannot be a path below a directory; undefined when it can. */
export function whyUnsafe(key: Buffer): string | undefined {
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

/** O_EXCL: nothing that is there is opened, a dangling symlink neither. */
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
 * Through a new file and a rename: at no time is there half a file, and what a hard link shares stays as it was. Who
 * may read it stays as well: what was kept from others is not shown to them.
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

function statOf(path: Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

const refused = (reason: string): Exported => ({ kind: 'refused', reason })

/** Names that the file system does not take concern one key; a full or failing disk ends the export. */
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
