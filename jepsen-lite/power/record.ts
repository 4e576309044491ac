// Records one session of the process: starts it under strace, and reads what happened to its directory and its marks,
// in one order.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { siblingModule } from '../../src/local/child-module.ts'
import { DiskImage } from './disk.ts'
import type { SubjectOptions } from './recorded-process.ts'
import { RecordingError, TRACED_CALLS, type TraceEvent, TraceReader } from './trace.ts'
import type { TraceMark } from './trace-markers.ts'

/** Content by name; undefined: the directory does not exist. */
export type Files = ReadonlyMap<string, Uint8Array> | undefined

/** One session of the recorded process. */
export interface RecordedSession {
  readonly kind: 'lived'
  readonly start: Files
  readonly events: readonly TraceEvent<TraceMark>[]
}

interface FailedSession {
  readonly kind: 'failed'
  readonly reason: string
}

/** Longest write whose bytes strace shows. A batch is far shorter. */
const STRING_BYTES_MAX = 64 * 1024 * 1024

/** Why this machine cannot record; undefined when it can. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux')
    return `system calls are recorded with strace, on Linux; this is ${process.platform}`
  if (straceFile() === undefined)
    return 'strace is not installed, and system calls cannot be recorded without it'
  return undefined
}

function straceFile(): string | undefined {
  const files = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'strace'))
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export async function record(
  options: SubjectOptions,
  work: string,
): Promise<RecordedSession | FailedSession> {
  const start = readFiles(options.dir)
  const traceFile = join(work, 'trace')
  rmSync(traceFile, { force: true })
  rmSync(options.marks, { force: true })
  const reason = await run(options, traceFile)
  if (reason !== undefined) return { kind: 'failed', reason }
  const sizes = new Map([...(start ?? [])].map(([name, { length }]) => [name, length]))
  const reader = new TraceReader<TraceMark>(options, sizes, (line) => JSON.parse(line))
  const events = reader.read(readFileSync(traceFile, 'latin1'))
  const differences = describeDifferences(replay(start, events), readFiles(options.dir))
  if (differences !== '')
    throw new RecordingError(
      `the trace does not lead to the files that lie there (${differences}): the process writes in a way that was not recorded`,
    )
  return { kind: 'lived', start, events }
}

/** Returns why the process did not reach its end, if it did not. */
async function run(options: SubjectOptions, traceFile: string): Promise<string | undefined> {
  const child = spawn(
    'strace',
    [
      ...['-f', '--seccomp-bpf', '-qq', '-xx', '-s', String(STRING_BYTES_MAX), '-e', 'signal=none'],
      ...['-e', `trace=${TRACED_CALLS.join(',')}`, '-o', traceFile],
      ...[process.execPath, siblingModule(import.meta, 'recorded-process'), JSON.stringify(options)],
    ],
    // A write through io_uring is not a system call.
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, UV_USE_IO_URING: '0' } },
  )
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [code, signal] = await once(child, 'close')
  if (code === 0) return undefined
  return `the recorded process ended with ${signal ?? code}: ${output.trim() || 'it printed nothing'}`
}

/** The files after all events, if the power stays on. */
function replay(start: Files, events: readonly TraceEvent<TraceMark>[]): Files {
  const disk = new DiskImage(start)
  for (const event of events) disk.add(event.kind === 'disk' ? event.event : undefined)
  if (!disk.isThere) return undefined
  const files = new Map<string, Uint8Array>()
  for (const [name, file] of disk.namesAfter(disk.names)) {
    const { changes } = disk.file(file)
    files.set(name, disk.readContent({ file, changes: changes.length, torn: undefined }))
  }
  return files
}

function describeDifferences(expected: Files, found: Files): string {
  const names = new Set([...(expected?.keys() ?? []), ...(found?.keys() ?? [])])
  const different = [...names].filter((name) => {
    const [a, b] = [expected?.get(name), found?.get(name)]
    return a === undefined || b === undefined || Buffer.compare(a, b) !== 0
  })
  return different
    .map(
      (name) => `${name}: ${expected?.get(name)?.length} bytes recorded, ${found?.get(name)?.length} there`,
    )
    .join('; ')
}

function readFiles(dir: string): Files {
  if (!existsSync(dir)) return undefined
  return new Map(
    readdirSync(dir)
      .sort()
      .map((name) => [name, readFileSync(join(dir, name))]),
  )
}

export function putFiles(dir: string, files: Files): void {
  rmSync(dir, { recursive: true, force: true })
  if (files === undefined) return
  mkdirSync(dir, { recursive: true })
  for (const [name, content] of files) writeFileSync(join(dir, name), content)
}
