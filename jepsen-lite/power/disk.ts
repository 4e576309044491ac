// The disk model: one directory, what was done to it, and what a power cut may leave of that (as on ext4, XFS, btrfs).
//
// - When a sync of a file has returned, the content that the file had when the sync began is there. What was written
//   later may be there or not.
// - Appended data is there from its beginning up to any byte. The length of a file never includes data that is missing.
// - Bytes written over older ones may be there, or not, or partly. A later write may be there without an earlier one.
// - Changes of the directory (create, rename, unlink) become durable in the order in which they were made: the first
//   ones, up to any number of them.
// - A sync of a created file makes its name durable, and with it all earlier changes of the directory. A sync of the
//   directory makes all changes durable that were done when it began.
//
// In this model a sync of a file does not make a later rename of it durable, although it does on ext4. With fewer
// guarantees there are more states that the store must survive.

export type FileId = number

export type DiskEvent =
  /** The directory itself was made. It may be gone until its parent is synced. */
  | { readonly kind: 'mkdir' }
  | { readonly kind: 'sync-parent' }
  | { readonly kind: 'create'; readonly name: string; readonly file: FileId }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'write'; readonly file: FileId; readonly at: number; readonly data: Uint8Array }
  | { readonly kind: 'truncate'; readonly file: FileId; readonly length: number }
  /** `begun`: how many events of the trace had ended when it began. Only those are certainly covered. */
  | { readonly kind: 'sync'; readonly file: FileId; readonly begun: number }
  | { readonly kind: 'sync-directory'; readonly begun: number }

type NameChange = Extract<DiskEvent, { kind: 'create' | 'rename' | 'unlink' }>
type FileChange = Extract<DiskEvent, { kind: 'write' | 'truncate' }>

/**
 * A part of one write that reached the disk without the rest: the bytes of change `change` from `from` up to, not
 * including, `to`.
 */
export interface Torn {
  readonly change: number
  readonly from: number
  readonly to: number
}

/** A possible content of a file: its first `changes` changes, then a part of a later one. */
export interface Content {
  readonly file: FileId
  readonly changes: number
  readonly torn: Torn | undefined
}

/** A possible content of a directory; undefined: the directory does not exist. */
export type DiskState = ReadonlyMap<string, Content> | undefined

export interface File {
  readonly id: FileId
  readonly changes: readonly FileChange[]
  /** How many changes, from the first, are durable. */
  readonly durable: number
}

interface TrackedFile extends File {
  readonly changes: FileChange[]
  /** Position in the trace at which each change ended. */
  readonly doneAt: number[]
  durable: number
  /** The change of the directory that made its name; undefined: it existed at the start. */
  createdBy: number | undefined
}

export class DiskImage {
  readonly #files = new Map<FileId, TrackedFile>()
  readonly #start: ReadonlyMap<string, FileId>
  readonly #changes: NameChange[] = []
  readonly #changesDoneAt: number[] = []
  #durableChanges = 0
  #position = 0
  #isThere: boolean
  #isBorn: boolean

  /** The directory when the recording began; all of it is durable. undefined: it did not exist. */
  constructor(start: ReadonlyMap<string, Uint8Array> | undefined) {
    this.#isThere = start !== undefined
    this.#isBorn = this.#isThere
    const names = new Map<string, FileId>()
    for (const [name, data] of start ?? []) {
      const id = -1 - names.size
      names.set(name, id)
      this.#track(id, undefined)
      this.#change({ kind: 'write', file: id, at: 0, data })
      this.#file(id).durable = 1
    }
    this.#start = names
  }

  /** How many changes of the directory are certainly durable, and how many were made. */
  get durableNames(): number {
    return this.#durableChanges
  }
  get names(): number {
    return this.#changes.length
  }
  get isThere(): boolean {
    return this.#isThere
  }
  /** Whether the directory can no longer vanish. */
  get isBorn(): boolean {
    return this.#isBorn
  }

  /** Adds the next event of the trace; undefined for one without an effect on the disk. */
  add(event: DiskEvent | undefined): void {
    if (event !== undefined) this.#apply(event)
    this.#position++
  }

  #apply(event: DiskEvent): void {
    switch (event.kind) {
      case 'mkdir':
        this.#isThere = true
        return
      case 'sync-parent':
        this.#isBorn = true
        return
      case 'create':
        this.#track(event.file, this.#changes.length)
        this.#changeNames(event)
        return
      case 'rename':
      case 'unlink':
        this.#changeNames(event)
        return
      case 'write':
      case 'truncate':
        this.#change(event)
        return
      case 'sync': {
        const file = this.#file(event.file)
        file.durable = Math.max(file.durable, countBefore(file.doneAt, event.begun))
        if (file.createdBy !== undefined)
          this.#durableChanges = Math.max(this.#durableChanges, file.createdBy + 1)
        return
      }
      case 'sync-directory':
        this.#durableChanges = Math.max(this.#durableChanges, countBefore(this.#changesDoneAt, event.begun))
    }
  }

  #track(id: FileId, createdBy: number | undefined): void {
    this.#files.set(id, { id, changes: [], doneAt: [], durable: 0, createdBy })
  }

  #change(change: FileChange): void {
    const file = this.#file(change.file)
    file.changes.push(change)
    file.doneAt.push(this.#position)
  }

  #changeNames(change: NameChange): void {
    this.#changes.push(change)
    this.#changesDoneAt.push(this.#position)
  }

  #file(id: FileId): TrackedFile {
    const file = this.#files.get(id)
    if (file === undefined) throw new Error(`a change of file ${id}, which was never created`)
    return file
  }

  file(id: FileId): File {
    return this.#file(id)
  }

  /** The directory after its first `changes` changes. */
  namesAfter(changes: number): Map<string, FileId> {
    const names = new Map(this.#start)
    for (const change of this.#changes.slice(0, changes)) {
      switch (change.kind) {
        case 'create':
          names.set(change.name, change.file)
          break
        case 'unlink':
          names.delete(change.name)
          break
        case 'rename': {
          const file = names.get(change.from)
          if (file === undefined) throw new Error(`a rename of ${change.from}, which is not there`)
          names.delete(change.from)
          names.set(change.to, file)
        }
      }
    }
    return names
  }

  /** Bytes of a file in a state that this disk may leave. */
  readContent({ file, changes, torn }: Content): Uint8Array {
    const { changes: all } = this.#file(file)
    const kept: FileChange[] = all.slice(0, changes)
    if (torn !== undefined) kept.push(tornChange(all[torn.change], torn))
    return replayed(kept)
  }
}

function tornChange(change: FileChange | undefined, { from, to }: Torn): FileChange {
  if (change?.kind !== 'write') throw new Error('only a write can be torn')
  return { ...change, at: change.at + from, data: change.data.subarray(from, to) }
}

function replayed(changes: readonly FileChange[]): Uint8Array {
  const content = new Uint8Array(Math.max(0, ...changes.map(changeEnd)))
  let length = 0
  for (const change of changes) {
    if (change.kind === 'write') {
      content.set(change.data, change.at)
      length = Math.max(length, changeEnd(change))
    } else {
      content.fill(0, change.length, length)
      length = change.length
    }
  }
  return content.subarray(0, length)
}

const changeEnd = (change: FileChange): number =>
  change.kind === 'write' ? change.at + change.data.length : change.length

/** How many of these rising positions are before `position`. */
function countBefore(positions: readonly number[], position: number): number {
  let count = positions.length
  while (count > 0 && (positions[count - 1] ?? 0) >= position) count--
  return count
}
