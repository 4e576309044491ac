// Data goes to stdout, everything else to stderr. The reader of the output may stop at any time (`kv ls | head`).
//
// `write` and `writeLine` print exact bytes, for programs. All text for people passes `print`, `say`, a function beside
// them or a table, which escape control characters.

import { fstatSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { failureReason } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { toJson, toJsonLine } from '../format/json.ts'
import { escapeLines, escapeText } from '../format/text.ts'
import { type Io, io, withCurrentIo } from './io.ts'
import { clearProgress } from './progress.ts'
import { paint, type Style, terminal } from './terminal.ts'

export const FORMATS = ['table', 'wide', 'plain', 'json', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]

/** The state of the output of one command. */
interface OutputState {
  /** A change whose result is being printed, with the command that shows whether it was made. */
  change: { readonly check?: string | undefined } | undefined
  /** Ends the command because its output is lost. */
  end: (exitCode: number) => void
  /** A file accepts a part of a write when its disk is full. */
  readonly fileOfStdout: number | undefined
}

const states = new WeakMap<Io, OutputState>()

function state(): OutputState {
  const current = io()
  const known = states.get(current)
  if (known !== undefined) return known
  const { fd } = current.stdout
  const made: OutputState = {
    change: undefined,
    end: (exitCode) => current.exit(exitCode),
    fileOfStdout: fd !== undefined && fstatSync(fd).isFile() ? fd : undefined,
  }
  states.set(current, made)
  return made
}

/**
 * Ends the command without a message if the reader of stdout is gone, and with an error if data is lost. A lost reader
 * of stderr does not end it.
 */
export function watchOutput(): void {
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') state().end(EXIT.ok)
    else cannotWrite(error)
  }
  io().stdout.on('error', withCurrentIo(onError))
  io().stderr.on('error', () => {})
}

function cannotWrite(error: unknown): void {
  const { change, end } = state()
  clearProgress()
  const check = change?.check === undefined ? '' : `; check with: ${change.check}`
  const made = change === undefined ? '' : `; the change may have been made${check}`
  say(`error: cannot write to standard output: ${failureReason(error)}${made}`)
  end(change === undefined ? EXIT.failed : EXIT.unknown)
}

/** Marks what is printed next as the result of a change, which the command `check` shows; undefined: of no change. */
export function setWriteIntent(change: { readonly check?: string | undefined } | undefined): void {
  state().change = change
}

/**
 * For a command that holds something: `end` receives the exit code if its output cannot be written, and must release
 * what it holds.
 */
export function onLostOutput(end: (exitCode: number) => void): void {
  state().end = end
  state().change = undefined
}

/** Prints data. Resolves when more may be written. */
export async function write(data: string | Uint8Array): Promise<void> {
  const { fileOfStdout } = state()
  const { stdout } = io()
  const bytes = Buffer.from(data)
  if (fileOfStdout !== undefined) return writeToFile(fileOfStdout, bytes)
  if (stdout.write(bytes)) return
  // After an error no drain comes.
  await new Promise<void>((resolve) => {
    const end = () => {
      stdout.off('drain', end).off('error', end)
      resolve()
    }
    stdout.on('drain', end).on('error', end)
  })
}

/** Resolves when the system has all that was printed: what this process buffers would be lost with it. */
export async function allWritten(): Promise<void> {
  if (state().fileOfStdout !== undefined) return
  // After an error the process ends.
  await new Promise<void>((resolve) => io().stdout.write('', (error) => error ?? resolve()))
}

/** A full disk accepts only a part of a write. `process.stdout` would lose the rest without an error. */
function writeToFile(fd: number, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
  } catch (error) {
    cannotWrite(error)
  }
}

export const writeLine = (line: string): Promise<void> => write(`${line}\n`)

/** Prints a line of data for people. */
export const print = (text: string): Promise<void> => writeLine(escapeText(text))

/** Prints data of several lines for people. */
export const printLines = (text: string): Promise<void> => writeLine(escapeLines(text))

/** Prints an object if the format is one of JSON. Returns whether it is. */
export async function printJson(format: Format, json: object): Promise<boolean> {
  if (format !== 'json' && format !== 'ndjson') return false
  await writeLine(format === 'json' ? toJson(json) : toJsonLine(json))
  return true
}

/** Prints one result: as JSON, for a script, or for people. Without `table` both of the latter are `plain`. */
export async function printResult(
  format: Format,
  json: object,
  plain: string,
  table: string = plain,
): Promise<void> {
  if (await printJson(format, json)) return
  if (format === 'plain') await writeLine(plain)
  else await print(table)
}

/** Prints a message of one line to stderr. */
export function say(text: string): void {
  io().stderr.write(`${escapeText(text)}\n`)
}

/** Prints text of several lines to stderr. */
export function sayLines(text: string): void {
  io().stderr.write(escapeLines(text))
}

export function sayPainted(style: Style, text: string): void {
  io().stderr.write(`${paint(style, escapeText(text), io().stderr)}\n`)
}

/**
 * `say` for a process that others depend on: if the terminal is stopped, the line is lost. `before`, if any, is printed
 * dimmed before the text.
 */
export function sayInPassing(text: string, before?: string): void {
  const head = before === undefined ? '' : `${paint('dim', escapeText(before), io().stderr)}  `
  const line = `${head}${escapeText(text)}\n`
  if (io().stderr.isTTY !== true) io().stderr.write(line)
  else {
    try {
      writeSync(terminal(), line)
    } catch {
      // There is no other place to report it.
    }
  }
}

const LAST_MS_MAX = 1_000
const LAST_CHECK_MS = 20

/**
 * Prints the last line of such a process. A reader that pauses still receives it. A stopped reader delays the end by at
 * most LAST_MS_MAX.
 */
export async function sayLast(text: string): Promise<void> {
  sayInPassing(text)
  const until = performance.now() + LAST_MS_MAX
  while (io().stderr.writableLength > 0 && performance.now() < until) await sleep(LAST_CHECK_MS)
}

/** Sorts n2 before n10. */
export function byName<T extends { readonly name: string }>(members: readonly T[]): T[] {
  return [...members].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}
