// Data goes to stdout, everything else to stderr. The reader of the output may stop at any time (`kv ls | head`).

import { isUtf8 } from 'node:buffer'
import { fstatSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { styleText } from 'node:util'
import { reasonOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import type { Format } from './global-flags.ts'
import { clearProgress } from './progress.ts'
import { terminal } from './terminal.ts'

type Style = Parameters<typeof styleText>[0]

const SLICE_BYTES = 16 * 1024
const STALLED_MS = 1_000

/**
 * Ends silently if the reader of stdout is gone, but with an error if data is lost. Goes on if the reader of stderr is
 * gone.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') end(EXIT.ok)
    else cannotWrite(error)
  })
  process.stderr.on('error', () => {})
}

function cannotWrite(error: unknown): void {
  clearProgress()
  const check = change?.check === undefined ? '' : `; check with: ${change.check}`
  const made = change === undefined ? '' : `. The change may have been made${check}`
  say(`error: cannot write to standard output: ${reasonOf(error)}${made}`)
  end(change === undefined ? EXIT.failed : EXIT.unknown)
}

let change: { readonly check?: string | undefined } | undefined

/** What is printed from now on tells of a change, which the command `check` shows; undefined: nothing has changed. */
export function tellsOfChange(made: { readonly check?: string | undefined } | undefined): void {
  change = made
}

let end = (exitCode: number): void => process.exit(exitCode)

/**
 * For a command that holds something: it ends itself, with the exit code, if what it prints cannot be written. Then it
 * holds nothing any more.
 */
export function leaveOutputTo(hear: (exitCode: number) => void): void {
  end = hear
  change = undefined
}

/** Slices that the system has taken. */
let taken = 0
const noteTaken = () => void taken++

/** Prints data. Resolves when more may be written. */
export async function write(data: string | Uint8Array): Promise<void> {
  if (isFile()) return writeToFile(Buffer.from(data))
  const bytes = Buffer.from(data)
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    const slice = bytes.subarray(at, at + SLICE_BYTES)
    if (!process.stdout.write(slice, noteTaken) && !(await drained())) return
  }
}

/** false: there was an error. After that no drain comes. */
const drained = () =>
  new Promise<boolean>((resolve) => {
    const end = (isDrained: boolean) => {
      process.stdout.off('drain', onDrain).off('error', onError)
      resolve(isDrained)
    }
    const [onDrain, onError] = [() => end(true), () => end(false)]
    process.stdout.on('drain', onDrain).on('error', onError)
  })

/** Resolves when the system has all that was printed: what this process keeps would end with it. */
export async function allWritten(): Promise<void> {
  if (isFile()) return
  // After an error the process ends.
  await new Promise<void>((resolve) => process.stdout.write('', (error) => error ?? resolve()))
}

/** Calls `stalled` when, for a time, the reader of stdout has taken nothing of what waits. */
export function watchReader(stalled: () => void): void {
  const now = () => ({ taken, waits: process.stdout.writableLength > 0 })
  let before = now()
  const look = () => {
    const after = now()
    if (before.waits && after.waits && after.taken === before.taken) stalled()
    before = after
  }
  setInterval(look, STALLED_MS).unref()
}

/**
 * A full disk accepts only a part of a write. `process.stdout` does not notice that, and the rest would be lost without
 * an error.
 */
function writeToFile(bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(process.stdout.fd, bytes, at)
  } catch (error) {
    cannotWrite(error)
  }
}

let stdoutIsFile: boolean | undefined

function isFile(): boolean {
  stdoutIsFile ??= fstatSync(process.stdout.fd).isFile()
  return stdoutIsFile
}

export const writeLine = (line: string): Promise<void> => write(`${line}\n`)

/** Prints what is not data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** The same for a process that others wait for: if the terminal is stopped, the line is lost. */
export function sayInPassing(text: string): void {
  if (process.stderr.isTTY !== true) say(text)
  else {
    try {
      writeSync(terminal(), `${text}\n`)
    } catch {
      // There is no other place to report it.
    }
  }
}

const LAST_MS_MAX = 1_000
const LAST_LOOK_MS = 20

/**
 * Prints the last line of such a process. A reader that pauses still receives it. A stopped reader delays the end by at
 * most LAST_MS_MAX.
 */
export async function sayLast(text: string): Promise<void> {
  sayInPassing(text)
  const until = performance.now() + LAST_MS_MAX
  while (process.stderr.writableLength > 0 && performance.now() < until) await sleep(LAST_LOOK_MS)
}

/** Styles text for stdout; plain if colours are off. */
export const paint = (style: Style, text: string): string =>
  styleText(style, text, { stream: process.stdout })

export const sayPainted = (style: Style, text: string): void =>
  say(styleText(style, text, { stream: process.stderr }))

/** For terminals: escapes characters that could move the cursor or change colours. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, escaped)

/** A character up to U+00FF as \xNN. */
export const escaped = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | number | null | undefined
  readonly alignRight?: boolean
  /** Seldom needed: in a table only with `-o wide`. */
  readonly wide?: boolean
}

const COLUMN_GAP = 2
const ABSENT = '-'

export const isTable = (format: Format): boolean => format === 'table' || format === 'wide'

/**
 * Prints rows: in columns for people, or separated by tabs and without a header for scripts. Prints in slices, so that
 * the first rows appear at once. On a terminal the widest columns of a `table` are shortened until a row fits into a
 * line.
 */
export class RowWriter<Row> {
  readonly #columns: readonly Column<Row>[]
  readonly #format: Format
  readonly #style: (row: Row) => Style | undefined
  readonly #widths: number[]
  #waiting: Row[] = []
  #headed = false

  constructor(
    columns: readonly Column<Row>[],
    format: Format,
    style: (row: Row) => Style | undefined = () => undefined,
  ) {
    this.#columns = format === 'table' ? columns.filter(({ wide }) => wide !== true) : columns
    this.#format = format
    this.#style = style
    this.#widths = this.#columns.map((column) => column.title.length)
  }

  async add(row: Row): Promise<void> {
    this.#waiting.push(row)
    if (this.#waiting.length >= 500) await this.end()
  }

  /** Prints the remaining rows; if there was no row, the header. */
  async end(): Promise<void> {
    const rows = this.#waiting
    this.#waiting = []
    const cells = rows.map((row) => this.#columns.map((column) => cellText(column.cell(row))))
    if (!isTable(this.#format)) {
      await write(cells.map((row) => `${row.join('\t')}\n`).join(''))
      return
    }
    const { widthOf, fitting, fill } = await import('./column-widths.ts')
    for (const row of cells) {
      row.forEach((cell, at) => {
        this.#widths[at] = Math.max(this.#widths[at] ?? 0, widthOf(cell))
      })
    }
    const widths = fitting(
      this.#widths,
      COLUMN_GAP,
      this.#format === 'table' ? terminalColumns() : Number.POSITIVE_INFINITY,
    )
    const lineOf = (row: readonly string[]): string =>
      row
        .map((cell, at) => fill(cell, widths[at] ?? 0, this.#columns[at]?.alignRight === true))
        .join(' '.repeat(COLUMN_GAP))
        .trimEnd()
    const lines = rows.map((row, at) => {
      const line = lineOf(cells[at] ?? [])
      const style = this.#style(row)
      return style === undefined ? line : paint(style, line)
    })
    if (!this.#headed) lines.unshift(paint('bold', lineOf(this.#columns.map((column) => column.title))))
    this.#headed = true
    await write(lines.map((line) => `${line}\n`).join(''))
  }
}

/** Of a terminal; elsewhere lines have any length. */
const terminalColumns = (): number =>
  (process.stdout.isTTY === true && process.stdout.columns) || Number.POSITIVE_INFINITY

function cellText(value: string | number | null | undefined): string {
  return value === null || value === undefined || value === '' ? ABSENT : printable(String(value))
}

/** Sorts n2 before n10. */
export function byName<T extends { readonly name: string }>(members: readonly T[]): T[] {
  return [...members].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

/** Bytes in JSON as in the HTTP API: a string if they are valid UTF-8, otherwise `{"base64": …}`. */
export function bytesToJson(bytes: Uint8Array): string | { readonly base64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString()
  return Buffer.from(text).equals(buffer) ? text : { base64: buffer.toString('base64') }
}

/** Bytes as text for people: those that are not UTF-8 as \xNN. */
export function shownBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : buffer.toString('latin1').replace(/[^ -~]/g, escaped)
}

export const toJson = (value: unknown): string => JSON.stringify(value, null, 2)
