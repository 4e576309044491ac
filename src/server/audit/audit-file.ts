// The file of the audit log. Lines are appended in order, one write at a time. A full file gets a number, and a new one
// begins. A line that cannot be written is dropped and counted: a full disk must not stop the store. After each write
// the node checks whether the path still names the file: when somebody has moved it, the next lines go to a new file;
// when somebody has deleted it, the lines of this write too.

import { type FileHandle, open, rename, stat } from 'node:fs/promises'

/** Size of a file after which the next one begins, and how many old ones are kept. */
export const AUDIT_FILE_BYTES = 64 * 2 ** 20
export const AUDIT_FILES_MAX = 8
/** Lines that wait for the disk. */
const WAITING_BYTES_MAX = 4 * 2 ** 20
/** Interval of warnings. */
const WARN_MS = 60_000
/** Permissions: only the owner may read it. */
const MODE = 0o600
const OTHERS = 0o077

export interface AuditFileOptions {
  readonly path: string
  readonly warn: (message: string) => void
  readonly fileBytes?: number
  readonly filesMax?: number
}

export class AuditFile {
  readonly #options: Required<AuditFileOptions>
  #file: FileHandle | undefined
  /** Whether the path is a regular file: a pipe or a device has no size, no mode of its own, and no successor. */
  #isRegular = true
  #bytes = 0
  #reopens = false
  #waiting: string[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #warnedAt = Number.NEGATIVE_INFINITY
  /** Lines that were not written. */
  droppedTotal = 0

  constructor(options: AuditFileOptions) {
    this.#options = { fileBytes: AUDIT_FILE_BYTES, filesMax: AUDIT_FILES_MAX, ...options }
  }

  /** Opens the file, so that a wrong path fails the start. */
  async open(): Promise<void> {
    const file = await open(this.#options.path, 'a', MODE)
    try {
      const facts = await file.stat()
      const { size, mode, uid } = facts
      const isRegular = facts.isFile()
      if (isRegular && uid !== (process.getuid?.() ?? uid))
        throw new Error(`it belongs to another user (uid ${uid}), who could read and change it`)
      // It may be older than this rule, or made by hand.
      if (isRegular && (mode & OTHERS) !== 0) await file.chmod(MODE)
      this.#isRegular = isRegular
      this.#bytes = size
      this.#file = file
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Opens the path again, before the next line: a program that moves logs away has sent a signal. */
  reopen(): void {
    this.#reopens = true
    this.#writing ??= this.#write()
  }

  /** Bytes that wait for the disk. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  append(line: string): void {
    if (this.#waitingBytes + line.length > WAITING_BYTES_MAX) {
      this.#dropped(1, 'the disk is too slow')
      return
    }
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    this.#writing ??= this.#write()
  }

  /** Resolves when all lines are written or dropped. */
  async idle(): Promise<void> {
    await this.#writing
  }

  async close(): Promise<void> {
    await this.idle()
    await this.#file?.close()
    this.#file = undefined
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0 || this.#reopens) {
      const lines = this.#waiting
      this.#waiting = []
      try {
        if (this.#reopens) await this.#openAgain()
        if (lines.length > 0) await this.#writeAll(Buffer.from(lines.join('')))
      } catch (error) {
        this.#dropped(lines.length, error instanceof Error ? error.message : String(error))
      }
      this.#waitingBytes -= lines.reduce((sum, line) => sum + line.length, 0)
    }
    this.#writing = undefined
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    const isFull = this.#bytes > 0 && this.#bytes + bytes.length > this.#options.fileBytes
    if (this.#file !== undefined && this.#isRegular && isFull) await this.#rotate()
    await this.#append(bytes)
    if (!this.#isRegular || (await this.#isAtPath())) return
    const isDeleted = (await this.#file?.stat())?.nlink === 0
    await this.#openAgain()
    // A file that is deleted again and again must not be written to without end.
    if (isDeleted) await this.#append(bytes)
  }

  async #append(bytes: Buffer): Promise<void> {
    if (this.#file === undefined) await this.open()
    const file = this.#file
    if (file === undefined) throw new Error('the file is closed')
    try {
      await file.appendFile(bytes)
      this.#bytes += bytes.length
    } catch (error) {
      // Half a line is no line.
      await file.truncate(this.#bytes).catch(() => {})
      throw error
    }
  }

  /** Whether the path names the open file. */
  async #isAtPath(): Promise<boolean> {
    const [named, opened] = await Promise.all([
      stat(this.#options.path, { bigint: true }).catch(ignoreMissing),
      this.#file?.stat({ bigint: true }),
    ])
    if (named === undefined || named.ino !== opened?.ino || named.dev !== opened.dev) return false
    // Some programs copy a log and cut it.
    this.#bytes = Number(named.size)
    return true
  }

  async #openAgain(): Promise<void> {
    this.#reopens = false
    const file = this.#file
    this.#file = undefined
    await file?.close()
    await this.open()
  }

  async #rotate(): Promise<void> {
    const { path, filesMax } = this.#options
    await this.#file?.close()
    this.#file = undefined
    for (let number = filesMax - 1; number > 0; number--)
      await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(ignoreMissing)
    await rename(path, `${path}.1`).catch(ignoreMissing)
    await this.open()
  }

  #dropped(lines: number, why: string): void {
    this.droppedTotal += lines
    const now = performance.now()
    if (now - this.#warnedAt < WARN_MS) return
    this.#warnedAt = now
    this.#options.warn(`the audit log loses lines (${this.droppedTotal} so far): ${why}`)
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return undefined
}
