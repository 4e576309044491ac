// Runs the command: `kv` in this process, and `spawnKv` as a shell does, for signals, pipes and exit codes.

import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { openSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { main } from '../../src/cli/main.ts'
import { type Io, runWithIo } from '../../src/cli/terminal/io.ts'

export const KV = join(import.meta.dirname, '../../bin/kv.js')

// The settings of the developer are not those of a test.
for (const name of Object.keys(process.env)) if (isSetting(name)) delete process.env[name]

function isSetting(name: string): boolean {
  return /^(KV_|NO_COLOR|FORCE_COLOR)/.test(name)
}

export interface Ended {
  /** null: a signal has ended it. */
  readonly code: number | null
  readonly out: string
  readonly bytes: Buffer
  /** Without the note below. */
  readonly err: string
  /** The note that no node has answered yet: a busy machine causes it too. */
  readonly note: string
}

export interface RunOptions {
  readonly endpoints?: string | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: string | Buffer
  /** The streams that are terminals. */
  readonly terminals?: readonly ('stdin' | 'stdout' | 'stderr')[]
  readonly columns?: number
  /** The reader of stdout: it is gone, or has a full disk. */
  readonly reader?: 'gone' | 'full-disk'
  /** Path of a file that is stdout. */
  readonly stdoutFile?: string
}

function environment({ endpoints, env }: RunOptions): NodeJS.ProcessEnv {
  const clean = Object.entries(process.env).filter(([name]) => !isSetting(name))
  return {
    ...Object.fromEntries(clean),
    // The contexts of the developer are not those of a test.
    XDG_CONFIG_HOME: join(tmpdir(), 'quorate-no-configuration'),
    ...(endpoints === undefined ? {} : { KV_ENDPOINTS: endpoints }),
    ...env,
  }
}

export function spawnKv(args: readonly string[], options: RunOptions = {}) {
  return spawn(process.execPath, [KV, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: environment(options),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** The same for a process that ends by itself. */
export function spawnedKv(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawnKv(args, options)
  child.stdin.on('error', () => {})
  child.stdin.end(options.stdin ?? '')
  const [out, err] = [child.stdout, child.stderr].map((stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    return chunks
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(endedWith(code, out ?? [], err ?? [])))
  })
}

function endedWith(code: number | null, out: readonly Buffer[], err: readonly Buffer[]): Ended {
  const bytes = Buffer.concat(out)
  const said = Buffer.concat(err).toString()
  const note = /no node has answered yet; trying for up to [^\n]*\n/.exec(said)?.[0] ?? ''
  return { code, bytes, out: bytes.toString(), err: said.replace(note, ''), note }
}

/** A command that runs in this process. */
export interface RunningKv {
  readonly ended: Promise<Ended>
  readonly stdin: PassThrough
  /** The next line of stdout. */
  line(): Promise<string>
  /** Resolves when the command has printed this to stdout or stderr. */
  printed(text: string | RegExp): Promise<void>
  signal(name: NodeJS.Signals): void
}

export const startKv = (args: readonly string[], options?: RunOptions): RunningKv =>
  startInTestIo((io) => main(args, io), options)

/** The output of a function on stdout. */
export async function printedBy(run: () => Promise<void>): Promise<string> {
  const { ended } = startInTestIo((io) => runWithIo(io, run).then(() => 0))
  return (await ended).out
}

const ENDED = new Error('the command has ended')

class TestOutput extends Writable {
  /** A listener that ends a process is the last one that runs. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    try {
      return super.emit(event, ...args)
    } catch (error) {
      if (error !== ENDED) throw error
      return true
    }
  }
}

function startInTestIo(run: (io: Io) => Promise<number>, options: RunOptions = {}): RunningKv {
  const printed = new EventEmitter().setMaxListeners(0)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  const isTerminal = (name: 'stdin' | 'stdout' | 'stderr') => options.terminals?.includes(name) === true
  let isCut = false
  const collector = (chunks: Buffer[], name: 'stdout' | 'stderr') => {
    const reader = name === 'stdout' ? options.reader : undefined
    const write = (chunk: Buffer, _: string, done: (error?: Error) => void) => {
      if (isCut) return done()
      if (reader === 'gone') return done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' }))
      if (reader === 'full-disk')
        return done(Object.assign(new Error('ENOSPC'), { syscall: 'write', errno: -constants.errno.ENOSPC }))
      chunks.push(Buffer.from(chunk))
      printed.emit('more')
      done()
    }
    return Object.assign(new TestOutput({ write }), {
      isTTY: isTerminal(name),
      columns: options.columns ?? 0,
    })
  }
  const stdin = Object.assign(new PassThrough(), { isTTY: isTerminal('stdin') })
  const signals = new EventEmitter().setMaxListeners(0)
  const cut = Promise.withResolvers<number | null>()
  const endWith = (code: number | null) => {
    isCut = true
    cut.resolve(code)
  }
  const file = options.stdoutFile === undefined ? {} : { fd: openSync(options.stdoutFile, 'w') }
  const stdout = Object.assign(collector(out, 'stdout'), file)
  const io: Io = {
    ...{ stdin, stdout, stderr: collector(err, 'stderr') },
    env: environment(options),
    cwd: options.cwd ?? tmpdir(),
    signals,
    startedAtMs: performance.now(),
    raise(name) {
      if (!signals.emit(name, name)) endWith(null)
    },
    exit(code) {
      endWith(code)
      throw ENDED
    },
  }
  /** A process ends when its output is written. */
  const written = async (code: number) => {
    stdout.end()
    if (!stdout.closed) await new Promise((resolve) => stdout.once('close', resolve))
    return code
  }
  const ended = Promise.race([run(io).then(written), cut.promise]).then((code) => endedWith(code, out, err))
  let hasEnded = false
  void ended.then(() => {
    hasEnded = true
    printed.emit('more')
  })
  let read = 0
  return {
    ended,
    stdin,
    async line() {
      for (;;) {
        const text = Buffer.concat(out).toString()
        const end = text.indexOf('\n', read)
        if (end !== -1) {
          const line = text.slice(read, end)
          read = end + 1
          return line
        }
        if (hasEnded) throw new Error(`ended without another line: ${Buffer.concat(err)}`)
        await new Promise((resolve) => printed.once('more', resolve))
      }
    },
    async printed(text) {
      const isThere = () => {
        const all = Buffer.concat([...out, ...err]).toString()
        return typeof text === 'string' ? all.includes(text) : text.test(all)
      }
      while (!isThere()) await new Promise((resolve) => printed.once('more', resolve))
    },
    signal: (name) => io.raise(name),
  }
}

export function kv(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { stdin, ended } = startKv(args, options)
  stdin.on('error', () => {})
  stdin.end(options.stdin ?? '')
  return ended
}

export interface EndedTogether extends Pick<Ended, 'code'> {
  /** Stdout, then stderr. */
  readonly text: string
}

/**
 * Runs the commands one after the other in one process of their own, which may have another file system or other
 * limits. `within`: the words before the program.
 */
export async function runTogether(
  runs: readonly (RunOptions & { readonly args: readonly string[] })[],
  options: { readonly within?: readonly string[]; readonly cwd?: string; readonly env?: object } = {},
): Promise<readonly EndedTogether[]> {
  const program = [process.execPath, join(import.meta.dirname, 'run-kv.child.ts')]
  const [file = '', ...args] = [...(options.within ?? []), ...program]
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...environment({}), ...options.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(runs))
  return (await json(child.stdout)) as readonly EndedTogether[]
}

/**
 * With this environment the call that starts a command returns only when the file exists. Signals can then arrive while
 * the command runs and its start has not ended.
 */
export function startingUntil(file: string): Record<string, string> {
  const preload = `
    import childProcess from 'node:child_process'
    import { existsSync } from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { spawn } = childProcess
    const cell = new Int32Array(new SharedArrayBuffer(4))
    childProcess.spawn = (...args) => {
      const child = spawn(...args)
      while (!existsSync(${JSON.stringify(file)})) Atomics.wait(cell, 0, 0, 5)
      return child
    }
    syncBuiltinESMExports()`
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` }
}
