// The file of the audit log. Lines are appended in order, one write at a time. A full file gets a number, and a new one
// begins. A line that cannot be written is dropped and counted: a full disk must not stop the store.

import { type FileHandle, open, rename } from 'node:fs/promises'

/** Size of a file after which the next one begins, and how many old ones are kept. */
export const AUDIT_FILE_BYTES = 64 * 2 ** 20
export const AUDIT_FILES_MAX = 8
/** Lines that wait for the disk. */
const WAITING_BYTES_MAX = 4 * 2 ** 20
/** Interval of warnings. */
const WARN_MS = 60_000
/** Permissions: only the owner may read it. */
const MODE = 0o600

export interface AuditFileOptions {
  readonly path: string
  readonly warn: (message: string) => void
  readonly fileBytes?: number
  readonly filesMax?: number
}

export class AuditFile {
  readonly #options: Required<AuditFileOptions>
  #file: FileHandle | undefined
  #bytes = 0
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
    this.#file = await open(this.#options.path, 'a', MODE)
    this.#bytes = (await this.#file.stat()).size
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
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      this.#waiting = []
      try {
        await this.#writeAll(Buffer.from(lines.join('')))
      } catch (error) {
        this.#dropped(lines.length, error instanceof Error ? error.message : String(error))
      }
      this.#waitingBytes -= lines.reduce((sum, line) => sum + line.length, 0)
    }
    this.#writing = undefined
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    if (this.#file === undefined) await this.open()
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#options.fileBytes) await this.#rotate()
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

  async #rotate(): Promise<void> {
    const { path, filesMax } = this.#options
    await this.#file?.close()
    this.#file = undefined
    for (let number = filesMax - 1; number > 0; number--)
      await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(ignoreMissing)
    await rename(path, `${path}.1`)
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

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
