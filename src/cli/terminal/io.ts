// The interface of a command to its process: streams, environment, working directory and signals. A test passes another
// one to `main`, so that several commands run in one process.
//
// The functions of output.ts and the local cluster need it in every corner. So it is the ambient context of the
// command (AsyncLocalStorage), and not a parameter of each function.

import { AsyncLocalStorage } from 'node:async_hooks'
import { resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'

type InputStream = Readable & {
  readonly isTTY?: boolean
  readonly fd?: number
  /** Switch of a terminal that passes on each key at once, and shows none. */
  readonly setRawMode?: (isRaw: boolean) => unknown
}
export type OutputStream = Writable & {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly fd?: number
}

export interface Io {
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Emits the signals that the process receives. */
  readonly signals: NodeJS.EventEmitter
  /** When the command began, by `performance.now()`: 0 for one with a process of its own. */
  readonly startedAtMs: number
  /** Ends the process by a signal, unless a listener of `signals` handles it. */
  raise(signal: NodeJS.Signals): void
  /**
   * Ends the process at once: for a lost output, a stopped node, or code of the user that would keep it alive.
   * Otherwise `main` returns the exit code.
   */
  exit(code: number): never
}

export const PROCESS_IO: Io = {
  get stdin() {
    return process.stdin
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  get cwd() {
    return process.cwd()
  },
  signals: process,
  startedAtMs: 0,
  raise: (signal) => void process.kill(process.pid, signal),
  exit: (code) => process.exit(code),
}

const current = new AsyncLocalStorage<Io>()

/** The Io of the running command. */
export const io = (): Io => current.getStore() ?? PROCESS_IO

export const runWithIo = <T>(overrides: Io, run: () => T): T => current.run(overrides, run)

/** An event listener that runs with the Io of its creator, not of the emitter. */
export const withCurrentIo = <F extends (...args: never[]) => unknown>(listener: F): F =>
  AsyncLocalStorage.bind(listener)

/** The path of a file that the user names relative to the working directory; unchanged in a process of its own. */
export const userPath = (path: string): string =>
  current.getStore() === undefined || io() === PROCESS_IO ? path : resolve(io().cwd, path)
